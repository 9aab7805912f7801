/* SPDX-License-Identifier: BSD-3-Clause
 * api_publish.h - what is published for a program's listeners
 */
#ifndef CORE_ENGINE_API_PUBLISH_H
#define CORE_ENGINE_API_PUBLISH_H

#include <jansson.h>

#include "core/engine/api_internal.h"

enum { API_FQDN_CAP = 320 };

struct api_published {
	struct api_published *next;
	int fd;
	ino_t inode;
	char *service; /* "svc:..."; NULL: Funnel, to the target */
	char fqdn[API_FQDN_CAP];
	struct tsnet_service mode; /* without what it points to */
	char target[API_FQDN_CAP + 8]; /* "host:port" */
};

void api_free_one(struct api_published *p);
/* The node runs within wait_s, and its status says what is needed of it. New,
 * or NULL with *code and words. */
json_t *api_running_status(struct tsnet *ts, unsigned wait_s, int *code);
/* Under publish_lock. What was published for descriptors that were just
 * closed. */
void api_take_back_closed(struct tsnet *ts);
/* Under publish_lock: p is the list's, for the listener fd. */
void api_keep_published(struct tsnet *ts, struct api_published *p, int fd);

#endif
