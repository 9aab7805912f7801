/* SPDX-License-Identifier: BSD-3-Clause
 * peerapi_put.c - files from peers: /v0/put/NAME (Taildrop)
 *
 * PUT brings a file, or with a Range header the rest of one. GET says what is
 * there of one that did not come to its end: a line for each block of it; of
 * "/v0/put/" itself, the names of all of those. A peer sees what it has sent
 * itself, and nothing else. What goes wrong with the disk is told at once, in
 * the middle of a file, too.
 * Source: feature/taildrop/peerapi.go; PROTOCOL 14
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/drop/drop_block.h"
#include "core/drop/drop_box.h"
#include "core/drop/drop_rights.h"
#include "core/host/peerapi.h"

#define JSON_TYPE "application/json"
enum { BLOCKS_A_PIECE = 8, PREFIX_LEN = sizeof("/v0/put/") - 1 };

struct put {
	struct ts_peerapi_conn *conn;
	struct ts_drop_in *in;
	bool is_whole;
};

/* -- answers -------------------------------------------------------------- */

static int status_of(int err)
{
	switch (err) {
	case -EINVAL:
		return 400;
	case -EEXIST:
		return 409;
	case -ERANGE:
		return 416;
	case -ENOSPC:
	case -EDQUOT:
		return 507;
	case -ENOENT:
		return 403;
	default:
		return 500;
	}
}

static void reply_error(struct ts_peerapi_conn *conn, int err)
{
	char text[128];

	if (err == -ENOENT)
		snprintf(text, sizeof(text),
			 "Taildrop disabled; no storage directory\n");
	else if (err == -EINVAL)
		snprintf(text, sizeof(text), "invalid filename\n");
	else if (err == -EEXIST)
		snprintf(text, sizeof(text), "file already exists\n");
	else if (err == -ERANGE)
		snprintf(text, sizeof(text), "offset out of range\n");
	else
		snprintf(text, sizeof(text), "%s\n", ts_strerror(err));
	ts_peerapi_reply_text(conn, status_of(err), text);
}

static const char *node_of(const struct ts_peerapi_conn *conn)
{
	const struct ts_peer *peer =
		ts_node_whois(conn->member->node, &conn->remote.ip);

	return peer && peer->stable_id ? peer->stable_id : "";
}

static bool may_log(const struct put *p, struct ts_log_limit *limit)
{
	return ts_log_allowed(limit, ts_host_now_ms(p->conn->member->host));
}

static void log_failure(const struct put *p, int err)
{
	char ip[TS_IP_TEXT_CAP];

	if (!may_log(p, &p->conn->member->drop_failure_limit))
		return;
	log_warn("taildrop: a file of %s was not received: %s",
		 ts_ip_format(&p->conn->remote.ip, ip), ts_strerror(err));
}

static void fail(struct put *p, int err)
{
	struct ts_peerapi_conn *conn = p->conn;

	log_failure(p, err);
	ts_drop_in_close(p->in, err == -ENOSPC || err == -EDQUOT);
	free(p);
	reply_error(conn, err);
}

/* -- a file that comes ---------------------------------------------------- */

static void on_data(void *ctx, const uint8_t *data, size_t len)
{
	struct put *p = ctx;
	int err = ts_drop_in_write(p->in, data, len);

	if (err)
		fail(p, err);
}

static void finish(struct put *p)
{
	static const char empty[] = "{}\n";
	struct ts_peerapi_conn *conn = p->conn;
	int err = ts_drop_in_finish(p->in);
	char ip[TS_IP_TEXT_CAP];

	if (err == -EAGAIN) {
		ts_peerapi_want_turn(conn);
		return;
	}
	if (err) {
		fail(p, err);
		return;
	}
	if (may_log(p, &conn->member->drop_limit))
		log_info("taildrop: a file of %llu bytes came from %s",
			 (unsigned long long)(p->in->offset + p->in->received),
			 ts_ip_format(&conn->remote.ip, ip));
	ts_drop_in_close(p->in, false);
	free(p);
	ts_peerapi_reply(conn, 200, JSON_TYPE, empty, sizeof(empty) - 1);
}

static void on_end(void *ctx)
{
	struct put *p = ctx;

	p->is_whole = true;
	finish(p);
}

static void on_turn(void *ctx)
{
	struct put *p = ctx;

	if (p->is_whole)
		finish(p);
}

static void on_gone(void *ctx)
{
	struct put *p = ctx;

	if (!p->is_whole)
		log_failure(p, -ECONNRESET);
	ts_drop_in_close(p->in, false);
	free(p);
}

static const struct ts_peerapi_taker put_taker = {
	.data = on_data,
	.end = on_end,
	.turn = on_turn,
	.gone = on_gone,
};

/* What the file is to go on from; false: there is no such place. */
static bool read_offset(const struct ts_peerapi_request *req, uint64_t *out)
{
	const struct ts_http1_field *range = ts_http1_find(&req->head, "Range");

	*out = 0;
	return !range || ts_drop_range_parse(range->value, range->value_len,
					     out) == 0;
}

static void begin_put(struct ts_peerapi_conn *conn,
		      const struct ts_peerapi_request *req, const char *name)
{
	const struct ts_http_body *framing = &req->framing;
	uint64_t offset;
	struct put *p;
	int err;

	if (!read_offset(req, &offset)) {
		ts_peerapi_reply_text(conn, 400, "invalid Range header\n");
		return;
	}
	p = calloc(1, sizeof(*p));
	err = p ? ts_drop_in_open(conn->member->drop_box, name, node_of(conn),
				  offset,
				  framing->kind == TS_BODY_CHUNKED
					  ? -1 : (int64_t)framing->left,
				  &p->in)
		: -ENOMEM;
	if (err) {
		free(p);
		reply_error(conn, err);
		return;
	}
	p->conn = conn;
	ts_peerapi_take_body(conn, &put_taker, p);
}

/* -- what there is of one ------------------------------------------------- */

struct blocks {
	int fd; /* -1: there is nothing */
	char data[TS_DROP_BLOCK_MAX];
};

static ssize_t read_block(struct blocks *b)
{
	size_t len = 0;

	while (len < sizeof(b->data)) {
		ssize_t n = read(b->fd, b->data + len, sizeof(b->data) - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	return (ssize_t)len;
}

static ssize_t read_lines(void *ctx, char *out)
{
	struct blocks *b = ctx;
	size_t used = 0;

	_Static_assert((int)BLOCKS_A_PIECE * (int)TS_DROP_LINE_CAP <=
			       (int)PEERAPI_PIECE_MAX,
		       "a piece has room for its lines");
	for (int i = 0; i < BLOCKS_A_PIECE; i++) {
		ssize_t n = read_block(b);

		if (n < 0)
			return n;
		if (n == 0)
			break;
		used += ts_drop_block_format(b->data, (size_t)n, out + used);
	}
	return (ssize_t)used;
}

static void close_blocks(void *ctx)
{
	struct blocks *b = ctx;

	close(b->fd);
	free(b);
}

static const struct ts_peerapi_source blocks_source = {
	.read = read_lines,
	.close = close_blocks,
};

static void reply_blocks(struct ts_peerapi_conn *conn, const char *name)
{
	struct blocks *b = malloc(sizeof(*b));
	int err = b ? ts_drop_box_open_partial(conn->member->drop_box, name,
					       node_of(conn), &b->fd)
		    : -ENOMEM;

	if (!err) {
		ts_peerapi_reply_source(conn, JSON_TYPE, &blocks_source, b);
		return;
	}
	free(b);
	if (err == -ENOENT)
		ts_peerapi_reply(conn, 200, JSON_TYPE, "", 0);
	else
		reply_error(conn, err);
}

static void reply_names(struct ts_peerapi_conn *conn)
{
	struct ts_drop_file *files;
	json_t *names = json_array();
	size_t count;
	char *text;
	int err = ts_drop_box_partials(conn->member->drop_box, node_of(conn),
				       &files, &count);

	for (size_t i = 0; !err && i < count; i++)
		json_array_append_new(names, json_string(files[i].name));
	if (!err)
		ts_drop_files_free(files, count);
	text = json_dumps(names, JSON_COMPACT);
	json_decref(names);
	if (err || !text)
		reply_error(conn, err ? err : -ENOMEM);
	else
		ts_peerapi_reply(conn, 200, JSON_TYPE, text, strlen(text));
	free(text);
}

/* -- who, and what -------------------------------------------------------- */

static bool may_send(const struct ts_peerapi_conn *conn)
{
	const struct ts_node *node = conn->member->node;
	const struct ts_peer *peer = ts_node_whois(node, &conn->remote.ip);

	return peer && ts_drop_is_enabled(node) &&
	       ts_drop_may_send(node, peer, &conn->remote.ip);
}

void ts_peerapi_put(struct ts_peerapi_conn *conn,
		    const struct ts_peerapi_request *req)
{
	const struct ts_drop_box *box = conn->member->drop_box;
	const char *text = req->path + PREFIX_LEN;
	size_t len = req->path_len - PREFIX_LEN;
	bool is_get = ts_peerapi_method_is(req, "GET");
	char name[TS_DROP_NAME_CAP];

	if (!box || !ts_drop_box_has_dir(box) || !may_send(conn))
		reply_error(conn, -ENOENT);
	else if (is_get && len == 0)
		reply_names(conn);
	else if (!is_get && !ts_peerapi_method_is(req, "PUT"))
		ts_peerapi_reply_text(conn, 405,
				      "expected method GET or PUT\n");
	else if (ts_drop_name_unescape(text, len, name))
		reply_error(conn, -EINVAL);
	else if (is_get)
		reply_blocks(conn, name);
	else
		begin_put(conn, req, name);
}
