/* SPDX-License-Identifier: BSD-3-Clause
 * control_ping.c - answer the control server's ping requests
 *
 * HEAD and c2n requests are answered here over the link; pings of other nodes
 * are the owner's, as it alone can reach them. A request may come on any map
 * message and may be repeated: one URL is answered once. Only a few answers
 * are under way at a time, the oldest gives way.
 * Source: control/controlclient/direct.go (answerPing), feature/c2n
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/encode.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/control/control_state.h"

enum { REPLY_KEPT = 200 };

static void on_reply(struct ts_control *c, struct ts_rpc *rpc,
		     const char *error)
{
	(void)c;
	if (error)
		log_debug("control: ping answer: %s", error);
	else
		log_debug("control: ping answer: http %d", rpc->status);
}

void ts_ping_link_lost(struct ts_control *c)
{
	for (size_t i = 0; i < TS_PING_SLOTS; i++)
		ts_rpc_cancel(c, &c->ping.rpcs[i]);
}

void ts_ping_deinit(struct ts_control *c)
{
	ts_ping_link_lost(c);
	free(c->ping.last_url);
	free(c->ping.browsed);
}

/* The host of the URL does not matter, it is the link's. */
static const char *url_path(const char *url)
{
	const char *host = strstr(url, "://");
	const char *path = host ? strchr(host + 3, '/') : NULL;

	return path ? path : "/";
}

static void send_answer(struct ts_control *c, const char *method,
			const char *url, const void *body, size_t len)
{
	static const char *const no_lb[TS_H2_LB_MAX];
	struct ts_rpc *rpc = &c->ping.rpcs[c->ping.next];
	int err;

	if (c->link.step != LINK_UP || c->link.has_failed)
		return;
	c->ping.next = (c->ping.next + 1) % TS_PING_SLOTS;
	ts_rpc_cancel(c, rpc);
	rpc->done = on_reply;
	err = ts_rpc_start(c, rpc, method, url_path(url), no_lb, body, len,
			   REPLY_KEPT);
	if (err)
		log_debug("control: ping answer: %s", ts_strerror(err));
}

void ts_ping_post(struct ts_control *c, const char *url, const void *body,
		  size_t len)
{
	send_answer(c, "POST", url, body, len);
}

static void answer_c2n(struct ts_control *c, const struct ts_ping_request *ping)
{
	uint8_t *request = NULL;
	char *response = NULL;
	size_t request_len, response_len;
	const char *payload = ping->payload ? ping->payload : "";
	int err = ts_base64_decode(payload, strlen(payload), &request,
				   &request_len);

	if (!err) {
		err = ts_c2n_answer(request, request_len, c->ops.c2n, c->ctx,
				    &response, &response_len);
		free(request);
	}
	if (err) {
		log_debug("control: c2n request: %s", ts_strerror(err));
		return;
	}
	send_answer(c, "POST", ping->url, response, response_len);
	free(response);
}

static bool is_repeated(char **last, const char *url)
{
	if (*last && strcmp(*last, url) == 0)
		return true;
	free(*last);
	*last = strdup(url);
	return false;
}

void ts_ping_browse(struct ts_control *c, const char *url)
{
	bool is_page = strncmp(url, "https://", 8) == 0 ||
		       strncmp(url, "http://", 7) == 0;

	if (is_page && !is_repeated(&c->ping.browsed, url) && c->ops.browse)
		c->ops.browse(c->ctx, url);
}

void ts_ping_handle(struct ts_control *c, const struct ts_ping_request *ping)
{
	const char *types = ping->types ? ping->types : "";

	if (is_repeated(&c->ping.last_url, ping->url))
		return;
	if (strcmp(types, "c2n") == 0)
		answer_c2n(c, ping);
	else if (*types == '\0' && ping->is_noise)
		send_answer(c, "HEAD", ping->url, NULL, 0);
	else if (c->ops.ping_request)
		c->ops.ping_request(c->ctx, ping->url, types, &ping->ip);
}
