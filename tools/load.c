// SPDX-License-Identifier: GPL-2.0-or-later
/* kipc load: loads the module, or says why it cannot be. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libkmod.h>

#include "module.h"
#include "tool.h"

struct arguments {
	const char *file;
	char **parameters;
	int count;
};

static const struct argp_option options[] = {
	{ "module", 'm', "FILE", 0, "This kipc.ko, not the one installed for the running "
				    "kernel", 0 },
	{ 0 }
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case 'm':
		arguments->file = arg;
		return 0;
	case ARGP_KEY_ARGS:
		arguments->parameters = state->argv + state->next;
		arguments->count = state->argc - state->next;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* The kernel would load it all the same, without the parameter */
static void check_parameter(struct kmod_module *module, const char *parameter)
{
	size_t length = strcspn(parameter, "=");
	char *prefix, *known, *magic = module_info(module, "vermagic", NULL);

	/* A file that is no module has no parameters, but that is not what is wrong with it */
	if (!magic)
		return;
	free(magic);
	if (!length || !parameter[length])
		die_usage("a parameter is NAME=VALUE, not '%s'", parameter);
	if (asprintf(&prefix, "%.*s:", (int)length, parameter) < 0)
		die(EXIT_LIMIT, "out of memory");
	known = module_info(module, "parm", prefix);
	if (!known)
		die_usage("the module has no parameter '%.*s'; kipc(4) lists them", (int)length,
			  parameter);
	free(known);
	free(prefix);
}

static char *join(char **parameters, int count)
{
	size_t size = 0;
	char *text = NULL;
	FILE *out = need(open_memstream(&text, &size));

	for (int i = 0; i < count; i++)
		fprintf(out, "%s%s", i ? " " : "", parameters[i]);
	if (fclose(out))
		die(EXIT_LIMIT, "out of memory");
	return text;
}

static void __attribute__((noreturn)) die_not_there(const char *file)
{
	if (file && access(file, R_OK))
		die(EXIT_MODULE, "%s: %s", file, strerror(errno));
	if (file)
		die(EXIT_MODULE, "%s: this is not a kernel module", file);
	die(EXIT_MODULE, "there is no module for the running kernel, %s: build it for that ('make "
			 "module') and install it in /lib/modules/%s/updates (then run depmod), "
			 "or name it by --module=FILE",
	    running_kernel(), running_kernel());
}

static void __attribute__((noreturn)) die_unsigned(const char *path, const char *signer)
{
	if (signer)
		die(EXIT_MODULE, "%s: it is signed by a key that the kernel does not know, and "
				 "this kernel loads only what is signed by one that it knows: "
				 "enrol the key with 'mokutil --import', see kipc-load(1)",
		    path);
	die(EXIT_MODULE, "%s: it is not signed, and this kernel loads only what is signed by a "
			 "key that it knows: kipc-load(1) tells how to sign it",
	    path);
}

static bool no_more_modules(void)
{
	char text[8];

	return read_line("/proc/sys/kernel/modules_disabled", text, sizeof(text)) &&
	       strcmp(text, "0");
}

static void __attribute__((noreturn)) explain(struct kmod_module *module, int err)
{
	const char *path = kmod_module_get_path(module);
	char *kernel, *signer = module_info(module, "signer", NULL);
	bool fits = is_built_for(module, &kernel);

	switch (err) {
	case ENOEXEC:
		if (!kernel)
			die(EXIT_MODULE, "%s: this is not a kernel module", path);
		if (!fits)
			die(EXIT_MODULE, "%s: it was built for kernel %s, and this is %s: build "
					 "it for this one",
			    path, kernel, running_kernel());
		die(EXIT_MODULE, "%s: the kernel does not take it, it was built with another "
				 "configuration: 'dmesg' tells more",
		    path);
	case ENOKEY:
	case EKEYREJECTED:
		die_unsigned(path, signer);
	case EPERM:
		if (geteuid())
			die(EXIT_DENIED, "only root may load a module");
		if (no_more_modules())
			die(EXIT_MODULE, "%s: no more modules can be loaded until the next boot "
					 "(kernel.modules_disabled)",
			    path);
		/* It is locked down */
		die_unsigned(path, signer);
	case EACCES:
		die(EXIT_DENIED, "%s: %s", path, strerror(err));
	case EINVAL:
		die(EXIT_MODULE, "the module refuses the value of a parameter; kipc(4) tells "
				 "which it takes");
	case ENOENT:
		if (!access(path, R_OK))
			die(EXIT_MODULE, "%s: it needs what the kernel does not have: 'dmesg' "
					 "tells what",
			    path);
		die(EXIT_MODULE, "%s: %s", path, strerror(err));
	default:
		die(EXIT_MODULE, "%s: %s: 'dmesg' may tell more", path, strerror(err));
	}
}

int command_load(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options, .parser = parse, .args_doc = "[PARAMETER=VALUE...]",
		.doc = "Loads the module, with parameters as in kipc(4). That it is loaded "
		       "already is no error, unless parameters are given.",
	};
	struct arguments arguments = { 0 };
	struct kmod_module *module;
	struct kmod_ctx *ctx;
	char *parameters;
	int err;

	parse_arguments(&argp, argc, argv, 0, &arguments);
	ctx = kmod_context();
	if (module_state()) {
		if (arguments.count)
			die(EXIT_EXISTS, "the module is loaded: 'kipc unload' first, or write to "
					 "/sys/module/" MODULE "/parameters");
		return EXIT_GOOD;
	}
	module = find_module(ctx, arguments.file);
	if (!module)
		die_not_there(arguments.file);
	for (int i = 0; i < arguments.count; i++)
		check_parameter(module, arguments.parameters[i]);
	parameters = join(arguments.parameters, arguments.count);
	/* What modprobe.d(5) says is for the one that is installed */
	err = arguments.file ? kmod_module_insert_module(module, 0, parameters) :
		kmod_module_probe_insert_module(module, 0, parameters, NULL, NULL, NULL);
	free(parameters);
	if (err < 0 && err != -EEXIST)
		explain(module, -err);
	kmod_module_unref(module);
	kmod_unref(ctx);
	return EXIT_GOOD;
}
