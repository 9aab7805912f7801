/* SPDX-License-Identifier: BSD-3-Clause
 * stack_pool.c - lwIP's memory: malloc, and some segments kept at hand
 *
 * A sender takes and gives back a segment's buffer for each 1,300 bytes, and
 * just there C libraries are slow: glibc keeps freed blocks of up to 1,032
 * bytes by size, larger ones are joined with their neighbours and cut out of
 * them again. So blocks of a segment's size are kept here, KEPT_MAX_BYTES in
 * all, and no more than IDLE_MAX_BYTES when nobody has anything to send.
 *
 * A block knows its size (malloc_usable_size), so it needs no header: it is
 * kept in the list of its size rounded down, and asked for by size rounded up.
 */
#include "netstack/stack_private.h"

#include <malloc.h>
#include <stdlib.h>

enum {
	STEP = 64,
	SMALLEST = 1024, /* smaller ones malloc is good at */
	LARGEST = 10240,
	LISTS = (LARGEST - SMALLEST) / STEP,
	IDLE_MAX_BYTES = 128 * 1024,
#ifdef __SANITIZE_ADDRESS__ /* which is to see what is used when freed */
	KEPT_MAX_BYTES = 0,
#else
	KEPT_MAX_BYTES = 2 * 1024 * 1024,
#endif
};

struct block {
	struct block *next;
};

/* lwIP is global to the process, so this is too. */
static struct {
	struct block *lists[LISTS];
	size_t bytes;
} kept;

static bool has_list(size_t size)
{
	return size >= SMALLEST && size < LARGEST;
}

static struct block **list_of(size_t size)
{
	return &kept.lists[(size - SMALLEST) / STEP];
}

static void *take_first(struct block **list)
{
	struct block *block = *list;

	*list = block->next;
	kept.bytes -= malloc_usable_size(block);
	return block;
}

void *stack_pool_take(size_t size)
{
	size_t whole = (size + STEP - 1) / STEP * STEP;

	if (!has_list(whole))
		return malloc(size);
	if (!*list_of(whole))
		return malloc(whole);
	return take_first(list_of(whole));
}

void *stack_pool_take_zeroed(size_t count, size_t size)
{
	return calloc(count, size);
}

void stack_pool_give(void *at)
{
	size_t size = malloc_usable_size(at);
	struct block *block = at, **list;

	if (!has_list(size) || kept.bytes + size > KEPT_MAX_BYTES) {
		free(at);
		return;
	}
	list = list_of(size);
	block->next = *list;
	*list = block;
	kept.bytes += size;
}

void stack_pool_idle(void)
{
	for (size_t i = 0; kept.bytes > IDLE_MAX_BYTES; i++)
		while (kept.lists[i])
			free(take_first(&kept.lists[i]));
}
