/* SPDX-License-Identifier: BSD-3-Clause
 * multipart.h - a multipart/form-data body, part by part, as it comes
 *
 * Nothing is kept of a part's content: whoever takes it may take less than
 * there is, and then gets the rest with the next input.
 * Source: RFC 2046 5.1.1, RFC 7578
 */
#ifndef CORE_BASE_MULTIPART_H
#define CORE_BASE_MULTIPART_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum {
	TS_MULTIPART_BOUNDARY_MAX = 70,
	TS_MULTIPART_HEAD_MAX = 4096,
	TS_MULTIPART_VALUE_CAP = 1024,
};

struct ts_multipart_part {
	char content_type[TS_MULTIPART_VALUE_CAP]; /* "": none */
	char file_name[TS_MULTIPART_VALUE_CAP];	   /* without directories */
};

struct ts_multipart_ops {
	/* A part begins. 0, or an error that ends it all. */
	int (*part)(void *ctx, const struct ts_multipart_part *part);
	/* Of its content: how much was taken, 0 to len. */
	size_t (*data)(void *ctx, const char *data, size_t len);
	/* It ends. false: nothing of the next one now. */
	bool (*part_end)(void *ctx);
};

struct ts_multipart {
	const struct ts_multipart_ops *ops;
	void *ctx;
	enum { MULTIPART_CONTENT, MULTIPART_LINE, MULTIPART_HEAD,
	       MULTIPART_OVER } state;
	bool has_part; /* false: in front of the first one */
	bool is_held;  /* not all was taken, or no more is wanted now */
	char delimiter[4 + TS_MULTIPART_BOUNDARY_MAX]; /* CR LF "--" ... */
	size_t delimiter_len, matched;
	/* The beginning of a delimiter that was none, from given on. */
	size_t owed, given;
	char head[TS_MULTIPART_HEAD_MAX]; /* or what follows a delimiter */
	size_t head_len;
};

/* 0; -EINVAL: no multipart body, or one without a boundary that can be. */
int ts_multipart_init(struct ts_multipart *m, const char *content_type,
		      const struct ts_multipart_ops *ops, void *ctx);
/* How much was taken: less than len when data() or part_end() said so. Or
 * -EBADMSG; -EMSGSIZE (a part's head); what part() said. */
ssize_t ts_multipart_input(struct ts_multipart *m, const char *data,
			   size_t len);
/* The last part has ended; what follows it means nothing. */
bool ts_multipart_is_over(const struct ts_multipart *m);

#endif
