/* SPDX-License-Identifier: BSD-3-Clause
 * drop_routes.c - files that peers have sent, and whom we can send some
 * Source: feature/taildrop/localapi.go (serveFiles, serveFileTargets)
 *
 * Who waits for a file gets an answer whose end is still to come: so the server
 * notices when they leave.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "core/base/err.h"
#include "core/drop/drop_box.h"
#include "core/drop/drop_rights.h"
#include "core/localapi/localapi_internal.h"
#include "core/model/json_fields.h"

enum { WAIT_MAX_S = 24 * 3600 };

struct drop_wait {
	struct ts_localapi_stream stream;
	struct ts_localapi *api; /* NULL: it is over */
	struct drop_wait *next, **pprev;
	uint64_t until_ms;
	char *text; /* the answer; NULL: not yet */
	size_t at;
};

/* -- lists ---------------------------------------------------------------- */

static void reply_disk_error(const struct localapi_call *call, int err)
{
	if (err == -ENOENT)
		localapi_reply_error(call, 500,
				     "Taildrop disabled; no storage directory");
	else
		localapi_reply_error(call, 500, ts_strerror(err));
}

static int list_waiting(const struct ts_localapi *api, json_t **out)
{
	struct ts_drop_file *files;
	size_t count;
	int err = ts_drop_box_waiting(api->env.drop_box, &files, &count);

	if (err)
		return err;
	*out = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(
			*out, json_pack("{s:s, s:I}", "Name", files[i].name,
					"Size", (json_int_t)files[i].size));
	ts_drop_files_free(files, count);
	return 0;
}

/* -- who waits ------------------------------------------------------------ */

static void unlink_wait(struct drop_wait *w)
{
	if (!w->api)
		return;
	*w->pprev = w->next;
	if (w->next)
		w->next->pprev = w->pprev;
	w->api = NULL;
}

static void answer_wait(struct drop_wait *w, json_t *list)
{
	unlink_wait(w);
	w->text = json_dumps(list, JSON_COMPACT);
	if (w->stream.wake)
		w->stream.wake(w->stream.wake_ctx);
}

static ssize_t read_wait(void *ctx, char *out, size_t cap)
{
	struct drop_wait *w = ctx;
	size_t left = w->text ? strlen(w->text) - w->at : 0;

	if (left == 0)
		return w->api ? 0 : -1;
	if (left > cap)
		left = cap;
	memcpy(out, w->text + w->at, left);
	w->at += left;
	return (ssize_t)left;
}

static void close_wait(void *ctx)
{
	struct drop_wait *w = ctx;

	unlink_wait(w);
	free(w->text);
	free(w);
}

static void wait_for_files(const struct localapi_call *call, int64_t s)
{
	struct ts_localapi *api = call->api;
	struct drop_wait *w = calloc(1, sizeof(*w));
	struct ts_localapi_reply reply = {.status = 200,
					  .content_type = "application/json"};

	if (!w) {
		localapi_reply_error(call, 500, "out of memory");
		return;
	}
	w->api = api;
	w->until_ms = call->now_ms +
		      (uint64_t)(s < WAIT_MAX_S ? s : WAIT_MAX_S) * 1000;
	w->next = api->drop_waits;
	w->pprev = &api->drop_waits;
	if (w->next)
		w->next->pprev = &w->next;
	api->drop_waits = w;
	w->stream = (struct ts_localapi_stream){
		.read = read_wait, .close = close_wait, .ctx = w};
	reply.stream = &w->stream;
	call->done(call->ctx, &reply);
}

static void answer_waits(struct ts_localapi *api, uint64_t until_ms,
			 json_t *list)
{
	struct drop_wait *next;

	for (struct drop_wait *w = api->drop_waits; w; w = next) {
		next = w->next;
		if (w->until_ms <= until_ms)
			answer_wait(w, list);
	}
	json_decref(list);
}

void localapi_drops_changed(struct ts_localapi *api)
{
	json_t *list;

	if (api->drop_waits && ts_drop_box_has_waiting(api->env.drop_box) &&
	    list_waiting(api, &list) == 0)
		answer_waits(api, UINT64_MAX, list);
}

void localapi_drops_tick(struct ts_localapi *api, uint64_t now_ms)
{
	if (api->drop_waits)
		answer_waits(api, now_ms, json_array());
}

void localapi_drops_end(struct ts_localapi *api)
{
	answer_waits(api, UINT64_MAX, json_array());
}

uint64_t localapi_drops_deadline_ms(const struct ts_localapi *api)
{
	uint64_t at = UINT64_MAX;

	for (const struct drop_wait *w = api->drop_waits; w; w = w->next)
		if (w->until_ms < at)
			at = w->until_ms;
	return at;
}

/* -- routes --------------------------------------------------------------- */

static void get_list(const struct localapi_call *call)
{
	const char *text = localapi_query(call, "waitsec");
	json_t *list = NULL;
	int64_t s = 0;
	int err;

	if (text && *text && (ts_int_parse(text, &s) || s < 0)) {
		localapi_reply_error(call, 400, "invalid waitsec");
		return;
	}
	err = list_waiting(call->api, &list);
	if (err) {
		reply_disk_error(call, err);
	} else if (s > 0 && json_array_size(list) == 0) {
		json_decref(list);
		wait_for_files(call, s);
	} else {
		localapi_reply_json(call, 200, list);
	}
}

static void get_file(const struct localapi_call *call, const char *name)
{
	struct ts_localapi_reply reply = {
		.status = 200,
		.content_type = "application/octet-stream",
		.has_fd = true,
		.is_file = true,
	};
	int err = ts_drop_box_open_file(call->api->env.drop_box, name,
					&reply.fd, &reply.file_len);

	if (err)
		localapi_reply_error(call, 500, err == -EINVAL
							? "invalid filename"
							: ts_strerror(err));
	else
		call->done(call->ctx, &reply);
}

static void delete_file(const struct localapi_call *call, const char *name)
{
	int err = ts_drop_box_delete(call->api->env.drop_box, name);

	if (err)
		localapi_reply_error(call, 500, err == -EINVAL
							? "invalid filename"
							: ts_strerror(err));
	else
		localapi_reply_empty(call, 204);
}

void localapi_files(const struct localapi_call *call)
{
	const char *name = strstr(call->request->path, "/files/") +
			   strlen("/files/");
	bool is_get = strcmp(call->request->method, "GET") == 0;

	if (!call->api->env.drop_box)
		reply_disk_error(call, -ENOENT);
	else if (*name && is_get)
		get_file(call, name);
	else if (*name)
		delete_file(call, name);
	else if (is_get)
		get_list(call);
	else
		localapi_reply_error(call, 400, "want GET to list files");
}

/* -- whom we can send some ------------------------------------------------ */

static int by_name(const void *a, const void *b)
{
	const struct ts_peer *x = *(const struct ts_peer *const *)a;
	const struct ts_peer *y = *(const struct ts_peer *const *)b;

	return strcmp(x->name ? x->name : "", y->name ? y->name : "");
}

static json_t *target_json(const struct localapi_call *call,
			   const struct ts_peer *peer)
{
	const struct ts_netmap *map = ts_node_netmap(call->node);
	char text[TS_ADDR_TEXT_CAP], url[TS_ADDR_TEXT_CAP + 8];
	struct ts_addr addr;

	ts_node_peerapi_of(call->node, peer, &addr);
	snprintf(url, sizeof(url), "http://%s", ts_addr_format(&addr, text));
	return json_pack("{s:o, s:s}", "Node", localapi_peer_node(map, peer),
			 "PeerAPIURL", url);
}

static json_t *targets(const struct localapi_call *call)
{
	const struct ts_netmap *map = ts_node_netmap(call->node);
	const struct ts_peer **found, *peer;
	json_t *list = json_array();
	size_t count = 0, pos = 0;

	while (ts_netmap_next_peer(map, &pos))
		count++;
	found = calloc(count + 1, sizeof(const struct ts_peer *));
	count = pos = 0;
	while (found && (peer = ts_netmap_next_peer(map, &pos)))
		if (ts_drop_is_target(call->node, peer))
			found[count++] = peer;
	if (count > 1)
		qsort(found, count, sizeof(const struct ts_peer *), by_name);
	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, target_json(call, found[i]));
	free(found);
	return list;
}

const char *localapi_drop_obstacle(const struct ts_node *node)
{
	if (ts_node_state(node) != TS_RUNNING)
		return "not connected to the tailnet";
	if (!ts_drop_is_enabled(node))
		return "file sharing not enabled by Tailscale admin";
	return NULL;
}

void localapi_file_targets(const struct localapi_call *call)
{
	const char *obstacle = localapi_drop_obstacle(call->node);

	if (obstacle)
		localapi_reply_failure(call, obstacle);
	else
		localapi_reply_json(call, 200, targets(call));
}
