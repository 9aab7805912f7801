/* SPDX-License-Identifier: BSD-3-Clause
 * file_put_route.c - PUT file-put/NODE/NAME: send a file to a peer
 * Source: feature/taildrop/localapi.go (singleFilePut)
 *
 * The caller's bytes go to core/drop/drop_send as fast as the peer takes them;
 * watchers of the bus hear how far it is, once a second. Of the transfers that
 * are over the last ones are remembered, as watchers that come later want to
 * know of them. Several files in one POST are file_post_route.c's.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/drop/drop_rights.h"
#include "core/localapi/file_put.h"
#include "core/model/json_fields.h"

enum { TELL_MS = 1000, REMEMBERED_MAX = 32 };

/* -- news ----------------------------------------------------------------- */

void file_put_tell(struct file_put *put)
{
	struct ts_localapi *api = put->call.api;

	put->told_ms = ts_loop_now_ms(api->env.loop);
	bus_outgoing_files(api->bus, api->outgoing);
}

static void tell_progress(struct file_put *put)
{
	uint64_t sent = ts_drop_send_progress(put->send);

	json_object_set_new(put->news, "Sent", json_integer((json_int_t)sent));
	if (ts_loop_now_ms(put->call.api->env.loop) - put->told_ms >= TELL_MS)
		file_put_tell(put);
}

static void forget_old(json_t *list)
{
	for (size_t i = 0; json_array_size(list) > REMEMBERED_MAX &&
			   i < json_array_size(list);) {
		json_t *file = json_array_get(list, i);

		if (json_is_true(json_object_get(file, "Finished")))
			json_array_remove(list, i);
		else
			i++;
	}
}

json_t *file_put_announce(struct file_put *put, const char *id,
			  const char *name, int64_t length)
{
	struct ts_localapi *api = put->call.api;
	char random_id[LOCALAPI_SESSION_CAP];
	json_t *news;

	localapi_random_hex(random_id);
	news = json_pack("{s:s, s:s, s:s, s:o, s:I, s:I, s:b, s:b}", "ID",
			 id ? id : random_id, "PeerID", put->peer_id, "Name",
			 name, "Started", localapi_time(put->call.now_unix),
			 "DeclaredSize", (json_int_t)length, "Sent",
			 (json_int_t)0, "Finished", 0, "Succeeded", 0);
	if (!api->outgoing)
		api->outgoing = json_array();
	if (json_array_append_new(api->outgoing, news))
		return NULL;
	forget_old(api->outgoing);
	return news;
}

/* -- a transfer ----------------------------------------------------------- */

void file_put_fail(json_t *news)
{
	json_object_set_new(news, "Finished", json_true());
	json_object_set_new(news, "Succeeded", json_false());
}

void file_put_finish(struct file_put *put, bool is_success)
{
	uint64_t sent;

	if (!put->send)
		return;
	sent = ts_drop_send_progress(put->send);
	json_object_set_new(put->news, "Sent", json_integer((json_int_t)sent));
	json_object_set_new(put->news, "Finished", json_true());
	json_object_set_new(put->news, "Succeeded", json_boolean(is_success));
	ts_drop_send_free(put->send);
	put->send = NULL;
	json_decref(put->news);
	put->news = NULL;
	file_put_tell(put);
}

static void on_done(void *ctx, int status, const char *text)
{
	struct file_put *put = ctx;

	put->file_done(put, status, text);
}

static void on_room(void *ctx)
{
	struct file_put *put = ctx;

	if (put->upload.wake)
		put->upload.wake(put->upload.wake_ctx);
}

static const struct ts_drop_send_ops send_ops = {
	.room = on_room,
	.done = on_done,
};

int file_put_begin(struct file_put *put, json_t *news, const char *name,
		   int64_t length)
{
	put->send = ts_drop_send_new(put->call.node, put->call.api->env.loop,
				     &put->to, name, length, &send_ops, put);
	if (!put->send)
		return -ENOMEM;
	put->news = json_incref(news);
	file_put_tell(put);
	return 0;
}

size_t file_put_write(struct file_put *put, const char *data, size_t len)
{
	size_t n = ts_drop_send_write(put->send, data, len);

	tell_progress(put);
	return n;
}

/* -- the request ---------------------------------------------------------- */

void file_put_end(struct file_put *put)
{
	if (put->is_over)
		return;
	put->is_over = true;
	file_put_finish(put, false);
	if (put->post)
		file_post_unsent(put->post);
	*put->pprev = put->next;
	if (put->next)
		put->next->pprev = put->pprev;
}

void file_put_free(struct file_put *put)
{
	file_put_end(put);
	file_post_free(put->post);
	free(put);
}

void localapi_file_puts_end(struct ts_localapi *api)
{
	while (api->file_puts) {
		struct file_put *put = api->file_puts;

		file_put_end(put);
		localapi_reply_error(&put->call, 503,
				     "the node ends, or is another one now");
	}
}

static const struct ts_peer *find_target(const struct localapi_call *call,
					 const char *stable_id)
{
	const struct ts_netmap *map = ts_node_netmap(call->node);
	const struct ts_peer *peer;
	size_t pos = 0;

	while ((peer = ts_netmap_next_peer(map, &pos)))
		if (peer->stable_id && strcmp(peer->stable_id, stable_id) == 0)
			break;
	return peer && ts_drop_is_target(call->node, peer) ? peer : NULL;
}

struct file_put *file_put_new(const struct localapi_call *call,
			      const char *stable_id)
{
	struct ts_localapi *api = call->api;
	const struct ts_peer *peer = find_target(call, stable_id);
	struct file_put *put = peer ? calloc(1, sizeof(*put)) : NULL;

	if (!put) {
		localapi_reply_error(call, peer ? 500 : 404,
				     peer ? "out of memory" : "node not found");
		return NULL;
	}
	put->call = *call;
	put->call.request = NULL; /* it is not for long */
	snprintf(put->peer_id, sizeof(put->peer_id), "%s", stable_id);
	ts_node_peerapi_of(call->node, peer, &put->to);
	put->next = api->file_puts;
	put->pprev = &api->file_puts;
	if (put->next)
		put->next->pprev = &put->next;
	api->file_puts = put;
	return put;
}

/* -- one file ------------------------------------------------------------- */

static void put_done(struct file_put *put, int status, const char *text)
{
	char *copy = strdup(text); /* goes with the transfer */

	file_put_finish(put, status == 200);
	file_put_end(put);
	localapi_reply_text(&put->call, status, "text/plain; charset=utf-8",
			    copy);
}

static size_t put_write(void *ctx, const char *data, size_t len)
{
	struct file_put *put = ctx;

	return put->send ? file_put_write(put, data, len) : len;
}

static void put_end(void *ctx)
{
	struct file_put *put = ctx;

	if (put->send)
		ts_drop_send_end(put->send);
}

static void put_close(void *ctx)
{
	file_put_free(ctx);
}

static int64_t declared_length(const struct localapi_call *call)
{
	const struct ts_localapi_request *rq = call->request;
	const char *text = rq->header
				   ? rq->header(rq->query_ctx, "Content-Length")
				   : NULL;
	int64_t length;

	return text && ts_int_parse(text, &length) == 0 && length >= 0
		       ? length
		       : -1;
}

static struct ts_localapi_upload *put_file(const struct localapi_call *call,
					   const char *stable_id,
					   const char *name)
{
	int64_t length = declared_length(call);
	struct file_put *put = file_put_new(call, stable_id);
	json_t *news;

	if (!put)
		return NULL;
	put->upload = (struct ts_localapi_upload){.write = put_write,
						  .end = put_end,
						  .close = put_close,
						  .ctx = put};
	put->file_done = put_done;
	news = file_put_announce(put, NULL, name, length);
	if (news && file_put_begin(put, news, name, length) == 0)
		return &put->upload;
	if (news)
		file_put_fail(news);
	file_put_free(put);
	localapi_reply_error(call, 500, "out of memory");
	return NULL;
}

/* "NODE/NAME"; false: it is not. */
static bool split(const char *path, char *node, size_t node_cap,
		  const char **name)
{
	const char *slash = strchr(path, '/');

	if (!slash || slash == path || (size_t)(slash - path) >= node_cap)
		return false;
	memcpy(node, path, (size_t)(slash - path));
	node[slash - path] = '\0';
	*name = slash + 1;
	return true;
}

struct ts_localapi_upload *localapi_file_put(const struct localapi_call *call)
{
	const char *path = strstr(call->request->path, "/file-put/") +
			   strlen("/file-put/");
	const char *obstacle = localapi_drop_obstacle(call->node);
	char node[sizeof(((struct file_put *)0)->peer_id)];
	const char *name;

	if (obstacle)
		localapi_reply_error(call, 500, obstacle);
	else if (!call->api->env.loop)
		localapi_reply_error(call, 400, "bogus URL");
	else if (strcmp(call->request->method, "POST") == 0)
		return localapi_file_post(call, path);
	else if (!split(path, node, sizeof(node), &name))
		localapi_reply_error(call, 400, "bogus URL");
	else if (!ts_drop_name_is_good(name))
		localapi_reply_error(call, 400, "invalid filename");
	else
		return put_file(call, node, name);
	return NULL;
}
