/* SPDX-License-Identifier: BSD-3-Clause
 * elf_symbols.c - find functions in the libraries loaded after us
 *
 * dlsym does this, but before glibc 2.34 it is in libdl, which many programs
 * do not have; and to need libdl would load one more library into every
 * program. So the references to libdl are weak, and where they are empty the
 * symbol tables are read here: objects in the order of loading, which is that
 * of RTLD_NEXT, each by its GNU hash table, default versions only.
 *
 * To load libtsnet.so the real dlopen is wanted then: libc of that age has a
 * private one for itself, good enough to fetch libdl.
 */
#include "shim/elf_symbols.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "shim/old_glibc.h"

#pragma weak dlsym
#pragma weak dlopen
#pragma weak dlerror

enum {
	OLD_DLOPEN_FLAG = (int)0x80000000, /* glibc: not by startup code */
	VERSION_HIDDEN = 0x8000,	   /* not the default version */
};

/* -- one object ----------------------------------------------------------- */

struct object {
	ElfW(Addr) base;
	const ElfW(Sym) *symbols;
	const ElfW(Half) *versions; /* NULL: none */
	const char *names;
	const uint32_t *hash; /* NULL: cannot be searched */
};

/* glibc has added the base to addresses in there already, for most. */
static const void *pointer(const struct object *o, const ElfW(Dyn) *dyn)
{
	ElfW(Addr) at = dyn->d_un.d_ptr;

	return (const void *)(at < o->base ? at + o->base : at);
}

static void read_dynamic(struct object *o, const ElfW(Dyn) *dyn)
{
	for (; dyn->d_tag != DT_NULL; dyn++) {
		if (dyn->d_tag == DT_SYMTAB)
			o->symbols = pointer(o, dyn);
		else if (dyn->d_tag == DT_STRTAB)
			o->names = pointer(o, dyn);
		else if (dyn->d_tag == DT_VERSYM)
			o->versions = pointer(o, dyn);
		else if (dyn->d_tag == DT_GNU_HASH)
			o->hash = pointer(o, dyn);
	}
}

static uint32_t gnu_hash(const char *name)
{
	uint32_t hash = 5381;

	for (; *name; name++)
		hash = hash * 33 + (uint8_t)*name;
	return hash;
}

static bool is_wanted(const struct object *o, uint32_t i, const char *name)
{
	const ElfW(Sym) *symbol = &o->symbols[i];

	return symbol->st_shndx != SHN_UNDEF &&
	       (symbol->st_info & 0xf) == STT_FUNC &&
	       !(o->versions && (o->versions[i] & VERSION_HIDDEN)) &&
	       strcmp(o->names + symbol->st_name, name) == 0;
}

/* Header: buckets, first symbol, Bloom words, Bloom shift; then the filter,
 * the buckets, and a hash a symbol whose lowest bit ends a chain. */
static void *find_in(const struct object *o, const char *name)
{
	uint32_t bucket_count, first, bloom_bytes, hash = gnu_hash(name), i;
	const uint32_t *buckets, *chain;

	if (!o->hash || !o->symbols || !o->names || o->hash[0] == 0)
		return NULL;
	bucket_count = o->hash[0];
	first = o->hash[1];
	bloom_bytes = o->hash[2] * (uint32_t)sizeof(ElfW(Addr));
	buckets = o->hash + 4 + bloom_bytes / sizeof(uint32_t);
	chain = buckets + bucket_count;
	i = buckets[hash % bucket_count];
	if (i < first)
		return NULL;
	for (;; i++) {
		uint32_t its = chain[i - first];

		if ((its | 1) == (hash | 1) && is_wanted(o, i, name))
			return (void *)(o->base + o->symbols[i].st_value);
		if (its & 1)
			return NULL;
	}
}

/* -- all of them ---------------------------------------------------------- */

struct search {
	const char *name; /* NULL: only who we are */
	bool is_past_us;
	const char *own_path;
	void *found;
};

static bool contains_us(const struct dl_phdr_info *info)
{
	ElfW(Addr) here = (ElfW(Addr))&contains_us - info->dlpi_addr;

	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];

		if (p->p_type == PT_LOAD && here - p->p_vaddr < p->p_memsz)
			return true;
	}
	return false;
}

static int visit(struct dl_phdr_info *info, size_t size, void *ctx)
{
	struct object object = {.base = info->dlpi_addr};
	struct search *search = ctx;

	(void)size;
	if (!search->is_past_us) {
		search->is_past_us = contains_us(info);
		if (search->is_past_us)
			search->own_path = info->dlpi_name;
		return search->is_past_us && !search->name;
	}
	for (int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
			read_dynamic(&object,
				     (const ElfW(Dyn) *)(info->dlpi_addr +
							 info->dlpi_phdr[i]
								 .p_vaddr));
	search->found = find_in(&object, search->name);
	return search->found != NULL;
}

void *shim_elf_search(const char *name)
{
	struct search search = {.name = name};

	dl_iterate_phdr(visit, &search);
	return search.found;
}

const char *shim_own_path(void)
{
	struct search search = {.name = NULL};

	dl_iterate_phdr(visit, &search);
	return search.own_path;
}

/* -- as libdl has it ------------------------------------------------------ */

void *shim_next_symbol(const char *name)
{
	return dlsym ? dlsym(RTLD_NEXT, name) : shim_elf_search(name);
}

/* Where libdl is not there, libc's own dlopen loads it first. */
static void load_libdl(struct shim_dl *dl)
{
	void *(*open_mode)(const char *, int) = (void *(*)(const char *, int))
		shim_elf_search("__libc_dlopen_mode");

	if (!open_mode ||
	    !open_mode("libdl.so.2", RTLD_NOW | OLD_DLOPEN_FLAG))
		return;
	dl->open = (void *(*)(const char *, int))shim_elf_search("dlopen");
	dl->sym = (void *(*)(void *, const char *))shim_elf_search("dlsym");
	dl->error = (char *(*)(void))shim_elf_search("dlerror");
}

bool shim_dl_ready(struct shim_dl *dl)
{
	*dl = (struct shim_dl){dlopen, dlsym, dlerror};
	if (!dl->open || !dl->sym || !dl->error)
		load_libdl(dl);
	return dl->open && dl->sym && dl->error;
}
