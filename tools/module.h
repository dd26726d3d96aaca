/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The module as libkmod and /sys know it. */
#ifndef MODULE_H
#define MODULE_H

#include <stdbool.h>
#include <stddef.h>

struct kmod_ctx;
struct kmod_module;

/* A file of one line; false if it cannot be read */
bool read_line(const char *path, char *text, size_t size);
struct kmod_ctx *kmod_context(void);
/* "live", "coming", "going", or NULL: not loaded */
const char *module_state(void);
/* The version of the one that is loaded, NULL if that is not told */
const char *module_version(void);
long module_references(void);	/* -1: unknown */
const char *running_kernel(void);
/* The one in @file, or the one that the running kernel's modules have; NULL: none */
struct kmod_module *find_module(struct kmod_ctx *ctx, const char *file);
/* What modinfo(8) prints: the first value of @key that begins with @prefix, or NULL */
char *module_info(struct kmod_module *module, const char *key, const char *prefix);
/* Whether it is for the running kernel; *@kernel: for which it is, NULL if it is none */
bool is_built_for(struct kmod_module *module, char **kernel);

#endif /* MODULE_H */
