/* SPDX-License-Identifier: BSD-3-Clause
 * file_put_route.c - PUT file-put/NODE/NAME: send a file to a peer
 * Source: feature/taildrop/localapi.go (singleFilePut)
 *
 * The caller's bytes go to core/drop/drop_send as fast as the peer takes them;
 * watchers of the bus hear how far it is, once a second. Of the transfers that
 * are over the last ones are remembered, as watchers that come later want to
 * know of them.
 */
#include <stdlib.h>
#include <string.h>

#include "core/drop/drop_rights.h"
#include "core/drop/drop_send.h"
#include "core/localapi/localapi_internal.h"
#include "core/model/json_fields.h"

enum { TELL_MS = 1000, REMEMBERED_MAX = 32 };

struct file_put {
	struct ts_localapi_upload upload;
	struct localapi_call call;
	struct ts_drop_send *send; /* NULL: it is over */
	struct file_put *next, **pprev;
	json_t *news; /* ipn.OutgoingFile, in api->outgoing */
	uint64_t told_ms;
};

/* -- news ------------------------------------------------------------------ */

static void tell(struct file_put *put)
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
		tell(put);
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

static void remember(struct file_put *put, const char *peer, const char *name,
		     int64_t length)
{
	struct ts_localapi *api = put->call.api;
	char id[LOCALAPI_SESSION_CAP];

	localapi_random_hex(id);
	put->news = json_pack(
		"{s:s, s:s, s:s, s:o, s:I, s:I, s:b, s:b}", "ID", id,
		"PeerID", peer, "Name", name, "Started",
		localapi_time(put->call.now_unix), "DeclaredSize",
		(json_int_t)length, "Sent", (json_int_t)0, "Finished", 0,
		"Succeeded", 0);
	if (!api->outgoing)
		api->outgoing = json_array();
	json_array_append(api->outgoing, put->news);
	forget_old(api->outgoing);
	tell(put);
}

/* -- the end --------------------------------------------------------------- */

static void finish(struct file_put *put, bool is_success)
{
	if (!put->send)
		return;
	json_object_set_new(
		put->news, "Sent",
		json_integer((json_int_t)ts_drop_send_progress(put->send)));
	json_object_set_new(put->news, "Finished", json_true());
	json_object_set_new(put->news, "Succeeded", json_boolean(is_success));
	ts_drop_send_free(put->send);
	put->send = NULL;
	*put->pprev = put->next;
	if (put->next)
		put->next->pprev = put->pprev;
	tell(put);
}

static void on_done(void *ctx, int status, const char *text)
{
	struct file_put *put = ctx;
	char *copy = strdup(text); /* goes with the transfer */

	finish(put, status == 200);
	localapi_reply_text(&put->call, status, "text/plain; charset=utf-8",
			    copy);
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

/* -- the caller's bytes ---------------------------------------------------- */

static size_t put_write(void *ctx, const char *data, size_t len)
{
	struct file_put *put = ctx;
	size_t n;

	if (!put->send)
		return len;
	n = ts_drop_send_write(put->send, data, len);
	tell_progress(put);
	return n;
}

static void put_end(void *ctx)
{
	struct file_put *put = ctx;

	if (put->send)
		ts_drop_send_end(put->send);
}

static void put_close(void *ctx)
{
	struct file_put *put = ctx;

	finish(put, false);
	json_decref(put->news);
	free(put);
}

void localapi_file_puts_end(struct ts_localapi *api)
{
	while (api->file_puts) {
		struct file_put *put = api->file_puts;

		finish(put, false);
		localapi_reply_error(&put->call, 503,
				     "the node ends, or is another one now");
	}
}

/* -- the request ----------------------------------------------------------- */

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

static struct ts_localapi_upload *begin(const struct localapi_call *call,
					const struct ts_peer *peer,
					const char *name)
{
	struct ts_localapi *api = call->api;
	struct file_put *put = calloc(1, sizeof(*put));
	int64_t length = declared_length(call);
	struct ts_addr to;

	ts_node_peerapi_of(call->node, peer, &to);
	if (put)
		put->send = ts_drop_send_new(call->node, api->env.loop, &to,
					     name, length, &send_ops, put);
	if (!put || !put->send) {
		free(put);
		localapi_reply_error(call, 500, "out of memory");
		return NULL;
	}
	put->call = *call;
	put->call.request = NULL;
	put->upload = (struct ts_localapi_upload){.write = put_write,
						  .end = put_end,
						  .close = put_close,
						  .ctx = put};
	put->next = api->file_puts;
	put->pprev = &api->file_puts;
	if (put->next)
		put->next->pprev = &put->next;
	api->file_puts = put;
	remember(put, peer->stable_id, name, length);
	return &put->upload;
}

struct ts_localapi_upload *localapi_file_put(const struct localapi_call *call)
{
	const char *path = strstr(call->request->path, "/file-put/") +
			   strlen("/file-put/");
	const char *obstacle = localapi_drop_obstacle(call->node);
	const struct ts_peer *peer;
	char node[128];
	const char *name;

	if (obstacle) {
		localapi_reply_error(call, 500, obstacle);
	} else if (!call->api->env.loop || !split(path, node, sizeof(node),
						  &name)) {
		localapi_reply_error(call, 400, "bogus URL");
	} else if (!ts_drop_name_is_good(name)) {
		localapi_reply_error(call, 400, "invalid filename");
	} else {
		peer = find_target(call, node);
		if (peer)
			return begin(call, peer, name);
		localapi_reply_error(call, 404, "node not found");
	}
	return NULL;
}
