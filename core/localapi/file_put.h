/* SPDX-License-Identifier: BSD-3-Clause
 * file_put.h - files that a caller sends to a peer, one after the other
 *
 * What PUT (one file) and POST (several) of file-put/ have in common: the
 * transfer that is under way, and what watchers of the bus hear of it.
 */
#ifndef CORE_LOCALAPI_FILE_PUT_H
#define CORE_LOCALAPI_FILE_PUT_H

#include "core/drop/drop_send.h"
#include "core/localapi/localapi_internal.h"

struct file_post;

struct file_put {
	struct ts_localapi_upload upload;
	struct localapi_call call;
	struct file_put *next, **pprev; /* the API's, until it is answered */
	bool is_over;			/* it is answered */
	struct ts_addr to;		/* the peer's PeerAPI */
	char peer_id[128];
	struct ts_drop_send *send; /* of the file under way, or NULL */
	json_t *news;		   /* its ipn.OutgoingFile, in api->outgoing */
	uint64_t told_ms;
	/* What the peer said of the file, never within a call. */
	void (*file_done)(struct file_put *put, int status, const char *text);
	struct file_post *post; /* NULL: it is a PUT */
};

/* To the peer of that stable ID. NULL: answered already. upload is the
 * caller's to fill in. */
struct file_put *file_put_new(const struct localapi_call *call,
			      const char *stable_id);
/* An ipn.OutgoingFile, which watchers hear of. id NULL: of our choice; length
 * -1: unknown. Borrowed; NULL: out of memory. */
json_t *file_put_announce(struct file_put *put, const char *id,
			  const char *name, int64_t length);
/* It is its turn. 0, -ENOMEM. */
int file_put_begin(struct file_put *put, json_t *news, const char *name,
		   int64_t length);
/* How much of the file was taken; less: upload.wake() follows. */
size_t file_put_write(struct file_put *put, const char *data, size_t len);
/* The transfer under way is over, if there is one. */
void file_put_finish(struct file_put *put, bool is_success);
/* One that did not begin. */
void file_put_fail(json_t *news);
/* The request is as good as answered, and no transfer goes on. */
void file_put_end(struct file_put *put);
void file_put_free(struct file_put *put);
/* Watchers hear what there is. */
void file_put_tell(struct file_put *put);

/* file_post_route.c */
struct ts_localapi_upload *localapi_file_post(const struct localapi_call *call,
					      const char *stable_id);
void file_post_free(struct file_post *post);
void file_post_unsent(const struct file_post *post);

#endif
