// SPDX-License-Identifier: GPL-2.0-or-later
/* What a program's file tells of it, and where its libraries are. */
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <glob.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "program.h"
#include "tool.h"

#define LDCONFIG "/sbin/ldconfig"

struct object {
	char *path;
	int fd;
	Elf *elf;
	GElf_Ehdr header;
	/* NULL: there is none */
	Elf_Data *dynamic;
	Elf_Data *symbols;
	size_t dynamic_names;	/* sections with the strings of these */
	size_t symbol_names;
};

static char *join(const char *left, const char *middle, const char *right)
{
	char *text;

	if (asprintf(&text, "%s%s%s", left, middle, right) < 0)
		die(EXIT_LIMIT, "out of memory");
	return text;
}

static void find_tables(struct object *object)
{
	Elf_Scn *section = NULL;
	GElf_Shdr header;

	while ((section = elf_nextscn(object->elf, section))) {
		if (!gelf_getshdr(section, &header))
			continue;
		if (header.sh_type == SHT_DYNAMIC && !object->dynamic) {
			object->dynamic = elf_getdata(section, NULL);
			object->dynamic_names = header.sh_link;
		} else if (header.sh_type == SHT_DYNSYM && !object->symbols) {
			object->symbols = elf_getdata(section, NULL);
			object->symbol_names = header.sh_link;
		}
	}
}

struct object *object_open(const char *path)
{
	struct object *object;
	struct stat st;
	int fd;

	elf_version(EV_CURRENT);
	/* Whatever it is, it does not keep us waiting */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return NULL;
	object = need(calloc(1, sizeof(*object)));
	object->fd = fd;
	object->path = need(strdup(path));
	if (!fstat(fd, &st) && S_ISREG(st.st_mode))
		object->elf = elf_begin(fd, ELF_C_READ, NULL);
	if (!object->elf || elf_kind(object->elf) != ELF_K_ELF ||
	    !gelf_getehdr(object->elf, &object->header)) {
		object_close(object);
		errno = ENOEXEC;
		return NULL;
	}
	find_tables(object);
	return object;
}

void object_close(struct object *object)
{
	if (!object)
		return;
	if (object->elf)
		elf_end(object->elf);
	close(object->fd);
	free(object->path);
	free(object);
}

const char *object_path(const struct object *object)
{
	return object->path;
}

const char *object_kind(const struct object *object)
{
	static const struct {
		unsigned int machine;
		const char *name;
	} machines[] = {
		{ EM_386, "x86" }, { EM_X86_64, "x86-64" }, { EM_ARM, "ARM" },
		{ EM_AARCH64, "AArch64" }, { EM_RISCV, "RISC-V" }, { EM_PPC64, "PowerPC" },
		{ EM_S390, "S/390" },
	};
	static char text[48];
	int bits = object->header.e_ident[EI_CLASS] == ELFCLASS32 ? 32 : 64;

	snprintf(text, sizeof(text), "%d-bit machine %u", bits, object->header.e_machine);
	for (size_t i = 0; i < COUNT(machines); i++) {
		if (machines[i].machine == object->header.e_machine)
			snprintf(text, sizeof(text), "%d-bit %s", bits, machines[i].name);
	}
	return text;
}

bool object_same_kind(const struct object *left, const struct object *right)
{
	return left->header.e_machine == right->header.e_machine &&
		left->header.e_ident[EI_CLASS] == right->header.e_ident[EI_CLASS] &&
		left->header.e_ident[EI_DATA] == right->header.e_ident[EI_DATA];
}

char *object_linker(const struct object *object)
{
	size_t count = 0;

	elf_getphdrnum(object->elf, &count);
	for (size_t i = 0; i < count; i++) {
		char path[PATH_MAX] = "";
		GElf_Phdr header;

		if (!gelf_getphdr(object->elf, (int)i, &header) || header.p_type != PT_INTERP)
			continue;
		/* What the kernel does not take either is left empty: no such file */
		if (header.p_filesz < sizeof(path) &&
		    pread(object->fd, path, header.p_filesz, (off_t)header.p_offset) < 0)
			path[0] = '\0';
		return need(strdup(path));
	}
	return NULL;
}

/* A string of the dynamic section, by tag and index among those of that tag */
static const char *dynamic_text(const struct object *object, GElf_Sxword tag, size_t index)
{
	GElf_Dyn entry;

	for (int i = 0; object->dynamic && gelf_getdyn(object->dynamic, i, &entry) &&
	     entry.d_tag != DT_NULL; i++) {
		if (entry.d_tag == tag && !index--)
			return elf_strptr(object->elf, object->dynamic_names, entry.d_un.d_val);
	}
	return NULL;
}

const char *object_needs(const struct object *object, size_t index)
{
	return dynamic_text(object, DT_NEEDED, index);
}

bool object_symbol(const struct object *object, size_t index, struct symbol *symbol)
{
	GElf_Sym entry;

	if (!object->symbols || index > INT_MAX ||
	    !gelf_getsym(object->symbols, (int)index, &entry))
		return false;
	symbol->name = elf_strptr(object->elf, object->symbol_names, entry.st_name);
	symbol->defined = entry.st_shndx != SHN_UNDEF;
	if (!symbol->name)
		symbol->name = "";
	return true;
}

bool object_has_tables(const struct object *object)
{
	return object->dynamic && object->symbols;
}

/* What $LIB may stand for here: each dynamic linker has one of these built in */
static const char *lib_word(size_t index)
{
	static const char *const common[] = { "lib", "lib64", "lib32", "libx32" };
	static glob_t found;
	static bool searched;

	if (index < COUNT(common))
		return common[index];
	if (!searched) {
		searched = true;
		if (glob("/usr/lib/*-linux-*", GLOB_ONLYDIR, NULL, &found))
			found.gl_pathc = 0;
	}
	index -= COUNT(common);
	return index < found.gl_pathc ? found.gl_pathv[index] + strlen("/usr/") : NULL;
}

/* The path itself if a library of the kind of @program is there, or NULL; frees it then */
static char *checked(const struct object *program, char *path)
{
	struct object *object = object_open(path);
	bool good = object && object_same_kind(program, object);

	object_close(object);
	if (good)
		return path;
	free(path);
	return NULL;
}

/* @text with @token, or the same in braces, replaced; NULL if it is not in it */
static char *replaced(const char *text, const char *token, const char *value)
{
	size_t length = strlen(token);

	for (const char *at = strchr(text, '$'); at; at = strchr(at + 1, '$')) {
		bool braces = at[1] == '{';
		const char *end = at + 1 + braces + length;
		char *before, *all;

		if (strncmp(at + 1 + braces, token, length) || (braces && *end != '}'))
			continue;
		before = need(strndup(text, (size_t)(at - text)));
		all = join(before, value, end + braces);
		free(before);
		return all;
	}
	return NULL;
}

/* One path that may have tokens; takes it */
static char *find_expanded(const struct object *program, const char *origin, char *path)
{
	char *with_origin = replaced(path, "ORIGIN", origin), *file = NULL, *one;
	const char *word;

	if (with_origin) {
		free(path);
		path = with_origin;
	}
	for (size_t i = 0; !file && (word = lib_word(i)); i++) {
		one = replaced(path, "LIB", word);
		if (!one)
			return checked(program, path);
		file = checked(program, one);
	}
	free(path);
	return file;
}

/* In a list of directories as those of LD_LIBRARY_PATH */
static char *find_in(const struct object *program, const struct object *by, const char *list,
		     const char *name)
{
	char *real = realpath(by->path, NULL), *slash = real ? strrchr(real, '/') : NULL;
	char *file = NULL;

	if (slash)
		*slash = '\0';
	while (list && *list && !file) {
		size_t length = strcspn(list, ":;");
		char *directory = need(strndup(list, length));

		/* An empty one is the working directory */
		file = find_expanded(program, real ? real : "",
				     join(length ? directory : ".", "/", name));
		free(directory);
		list += length + (list[length] != '\0');
	}
	free(real);
	return file;
}

/* What ldconfig(8) has put in the cache, as it says itself: it knows the cache's form */
static const char *cache(void)
{
	static char *text;
	size_t size = 0;
	FILE *in;

	if (text)
		return text;
	text = "";
	if (access(LDCONFIG, X_OK))
		return text;
	// NOLINTNEXTLINE(cert-env33-c): a command of ours, which nobody has a part in
	in = popen(LDCONFIG " -p 2>/dev/null", "re");
	if (!in)
		return text;
	text = NULL;
	if (getdelim(&text, &size, '\0', in) < 0) {
		free(text);
		text = "";
	}
	pclose(in);
	return text;
}

static char *find_cached(const struct object *program, const char *name)
{
	const char *line = cache();
	size_t length = strlen(name);

	/* "\tlibkipc.so.0 (libc6,x86-64) => /usr/local/lib/libkipc.so.0" */
	for (; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
		const char *end = strchrnul(line, '\n'), *at = strstr(line, " => ");
		char *file;

		if (line[0] != '\t' || strncmp(line + 1, name, length) ||
		    line[1 + length] != ' ' || !at || at > end)
			continue;
		at += strlen(" => ");
		file = checked(program, need(strndup(at, (size_t)(end - at))));
		if (file)
			return file;
	}
	return NULL;
}

static char *find_usual(const struct object *program, const char *name)
{
	const char *word;

	for (size_t i = 0; (word = lib_word(i)); i++) {
		static const char *const roots[] = { "/", "/usr/" };

		for (size_t j = 0; j < COUNT(roots); j++) {
			char *directory = join(roots[j], word, "/");
			char *file = checked(program, join(directory, name, ""));

			free(directory);
			if (file)
				return file;
		}
	}
	return NULL;
}

char *library_find(const struct object *program, const struct object *by, const char *name)
{
	const char *runpath = dynamic_text(by, DT_RUNPATH, 0);
	char *file = NULL;

	if (strchr(name, '/'))
		return find_expanded(program, "", need(strdup(name)));
	if (!runpath) {
		file = find_in(program, by, dynamic_text(by, DT_RPATH, 0), name);
		if (!file && by != program && !dynamic_text(program, DT_RUNPATH, 0))
			file = find_in(program, program, dynamic_text(program, DT_RPATH, 0), name);
	}
	if (!file)
		file = find_in(program, program, getenv("LD_LIBRARY_PATH"), name);
	if (!file)
		file = find_in(program, by, runpath, name);
	if (!file)
		file = find_cached(program, name);
	return file ? file : find_usual(program, name);
}

/* Whether that can be executed; tells by errno why not */
static bool executable(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return false;
	if (S_ISREG(st.st_mode))
		return !access(path, X_OK);
	errno = EACCES;
	return false;
}

char *command_find(const char *command)
{
	const char *path = getenv("PATH");
	int err = ENOENT;

	if (!*command) {
		errno = err;
		return NULL;
	}
	if (strchr(command, '/'))
		return executable(command) ? need(strdup(command)) : NULL;
	for (const char *at = path ? path : "/bin:/usr/bin";;) {
		size_t length = strcspn(at, ":");
		char *directory = need(strndup(at, length));
		char *file = join(length ? directory : ".", "/", command);

		free(directory);
		if (executable(file))
			return file;
		if (errno == EACCES)
			err = EACCES;
		free(file);
		if (!at[length])
			break;
		at += length + 1;
	}
	errno = err;
	return NULL;
}
