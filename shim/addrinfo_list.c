/* SPDX-License-Identifier: BSD-3-Clause
 * addrinfo_list.c - lists of addresses, as each libc frees them
 *
 * hook_names.c lets libc make one list an address and chains them. glibc frees
 * entry by entry, each with a canonical name of its own, so the chain is a list
 * like any other. musl makes one block of a list, with the canonical name in
 * it, and counts its entries: freeing a chain would count them all against the
 * last block. Freed one by one they are counted right (POSIX allows any
 * sublist), and a canonical name of ours, which is in no block, is freed here.
 *
 * That name is known by a mark in front of it. Reading in front of musl's own
 * is safe: the entries of its block are there.
 */
#include "shim/addrinfo_list.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "shim/hooks.h"
#include "shim/libc_table.h"

struct marked_name {
	uint64_t mark; /* its own address, scrambled: no text is like that */
	char text[];
};

static uint64_t mark_of(const struct marked_name *name)
{
	return (uint64_t)(uintptr_t)name * 0x9e3779b97f4a7c15ull ^ UINT64_MAX;
}

static struct marked_name *marked_name_of(char *text)
{
	struct marked_name *name =
		(void *)(text - offsetof(struct marked_name, text));
	uint64_t mark;

	memcpy(&mark, name, sizeof(mark)); /* musl's need not be aligned */
	return mark == mark_of(name) ? name : NULL;
}

static char *new_marked_name(const char *text)
{
	size_t len = strlen(text) + 1;
	struct marked_name *name = malloc(sizeof(*name) + len);

	if (!name)
		return NULL;
	name->mark = mark_of(name);
	memcpy(name->text, text, len);
	return name->text;
}

int shim_addrinfo_set_name(struct addrinfo *first, const char *text)
{
	char *copy = libc.is_musl ? new_marked_name(text) : strdup(text);

	if (!copy)
		return EAI_MEMORY;
	if (!libc.is_musl)
		free(first->ai_canonname);
	first->ai_canonname = copy;
	return 0;
}

static void free_one(struct addrinfo *entry)
{
	struct marked_name *name =
		entry->ai_canonname ? marked_name_of(entry->ai_canonname)
				    : NULL;

	entry->ai_next = NULL;
	libc.freeaddrinfo(entry);
	if (name) {
		name->mark = 0;
		free(name);
	}
}

void shim_addrinfo_free(struct addrinfo *list)
{
	if (!libc.is_musl) {
		libc.freeaddrinfo(list);
		return;
	}
	while (list) {
		struct addrinfo *next = list->ai_next;

		free_one(list);
		list = next;
	}
}

void hook_freeaddrinfo(struct addrinfo *list)
{
	shim_libc_ready();
	shim_addrinfo_free(list);
}
