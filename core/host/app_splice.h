/* SPDX-License-Identifier: BSD-3-Clause
 * app_splice.h - struct ts_splice, for who looks at all of them (host_end.c)
 */
#ifndef CORE_HOST_APP_SPLICE_H
#define CORE_HOST_APP_SPLICE_H

#include "core/host/host_internal.h"

struct ts_splice {
	struct ts_link link;  /* in host->splices */
	struct ts_link ready; /* in host->ready, or in no list */
	struct ts_host *host;
	struct ts_member *member;
	struct ts_watch *watch;
	struct ts_hup_item hup;
	int fd;		       /* -1: both directions are done */
	struct stack_tcp *tcp; /* NULL: gone */
	struct ts_entry *entry;
	uint8_t *rest; /* read from the program, refused by the stack */
	size_t rest_at, rest_len;
	bool is_up_done, is_down_done;
	bool is_up_full, is_down_full; /* waits for room */
	bool is_broken; /* the program reset it, and the error has been read */
	bool is_pumping, is_over; /* over while pumping: freed afterwards */
	void (*ended)(void *ctx); /* of one that we route for others */
	void *ended_ctx;
};

/* What the program has sent is all there will be; s may be gone afterwards. */
void ts_splice_finish(struct ts_splice *s);

#endif
