/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What can be read of a program or a library in its file, and where the dynamic linker would
 * find the libraries that it needs. Nothing of it is run, nor mapped as the dynamic linker
 * would: the file may be anybody's. It is read by libelf, and searched for as ld.so(8) says.
 *
 * An object lives from object_open() to object_close(). What it returns belongs to it, but
 * for what is said to be the caller's.
 */
#ifndef PROGRAM_H
#define PROGRAM_H

#include <stdbool.h>
#include <stddef.h>

struct object;

/* NULL, with errno: ENOEXEC if it is no ELF file */
struct object *object_open(const char *path);
void object_close(struct object *object);
const char *object_path(const struct object *object);
/* "64-bit x86-64"; valid until the next call */
const char *object_kind(const struct object *object);
/* Whether one process can have both */
bool object_same_kind(const struct object *left, const struct object *right);
/* The dynamic linker that it asks for; NULL: none, it is statically linked. The caller's */
char *object_linker(const struct object *object);
/* A library that it needs, by index, NULL behind the last */
const char *object_needs(const struct object *object, size_t index);
/* Dynamic symbols: a name of each, by index as above. False: there are no more */
struct symbol {
	const char *name;
	bool defined;
};

bool object_symbol(const struct object *object, size_t index, struct symbol *symbol);
/* Without these tables it has dynamic symbols or needed libraries that cannot be told */
bool object_has_tables(const struct object *object);

/*
 * The file of a library for @program, as ld.so(8) finds it for @by, which is @program or a
 * library of its; with a slash in @name, that file. The tokens of ld.so(8) are understood, but
 * for $PLATFORM. NULL: there is none of its kind. The caller's.
 */
char *library_find(const struct object *program, const struct object *by, const char *name);

/* The file that execvp(3) runs; NULL, with errno. The caller's */
char *command_find(const char *command);

#endif /* PROGRAM_H */
