/* SPDX-License-Identifier: BSD-3-Clause
 * host_list.h - a doubly linked list whose links live in the objects
 */
#ifndef CORE_HOST_HOST_LIST_H
#define CORE_HOST_HOST_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct ts_link {
	struct ts_link *prev, *next;
};

/* The object that holds this link. */
#define TS_LINK_OWNER(link, type, member)                                      \
	((type *)(void *)((char *)(link) - offsetof(type, member)))

static inline void ts_list_init(struct ts_link *head)
{
	head->prev = head->next = head;
}

static inline bool ts_list_is_empty(const struct ts_link *head)
{
	return head->next == head;
}

/* Puts link in front of at: at the end when at is the head. */
static inline void ts_list_insert(struct ts_link *at, struct ts_link *link)
{
	link->prev = at->prev;
	link->next = at;
	at->prev->next = link;
	at->prev = link;
}

/* Fine on a link that is in no list, once it was initialised. */
static inline void ts_list_remove(struct ts_link *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
	ts_list_init(link);
}

#endif
