/* SPDX-License-Identifier: BSD-3-Clause
 * http_multi.c - libcurl's sockets and timer on the loop
 *
 * libcurl says which sockets it wants to hear of and when it wants to be
 * called; the loop does that, and whatever is done by then is collected.
 */
#include <stdlib.h>

#include "core/io/http_internal.h"

struct ts_http_watch {
	struct ts_http_watch *next;
	struct ts_http_client *client;
	struct ts_watch *watch;
	curl_socket_t fd;
};

static void collect_done(struct ts_http_client *client)
{
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(client->multi, &left))) {
		struct ts_http_request *rq = NULL;
		CURLcode code = msg->data.result;

		if (msg->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &rq);
		curl_multi_remove_handle(client->multi, rq->easy);
		rq->is_added = false;
		ts_http_request_done(rq, code);
	}
}

static void on_socket(void *ctx, unsigned events)
{
	struct ts_http_watch *s = ctx;
	struct ts_http_client *client = s->client;
	int running;

	curl_multi_socket_action(client->multi, s->fd,
				 (events & TS_READABLE ? CURL_CSELECT_IN : 0) |
					 (events & TS_WRITABLE
						  ? CURL_CSELECT_OUT : 0),
				 &running);
	collect_done(client); /* s may be gone */
}

static void on_multi_timer(void *ctx)
{
	struct ts_http_client *client = ctx;
	int running;

	curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0,
				 &running);
	collect_done(client);
}

static int want_timer(CURLM *multi, long timeout_ms, void *ctx)
{
	struct ts_http_client *client = ctx;

	(void)multi;
	ts_timer_set(client->timer,
		     timeout_ms < 0 ? UINT64_MAX
				    : ts_loop_now_ms(client->loop) +
					      (uint64_t)timeout_ms);
	return 0;
}

static void forget_socket(struct ts_http_client *client, curl_socket_t fd)
{
	struct ts_http_watch **at = &client->watches;
	struct ts_http_watch *s;

	while (*at && (*at)->fd != fd)
		at = &(*at)->next;
	s = *at;
	if (!s)
		return;
	*at = s->next;
	ts_watch_free(s->watch);
	free(s);
}

static struct ts_http_watch *find_socket(struct ts_http_client *client,
					curl_socket_t fd)
{
	struct ts_http_watch *s = client->watches;

	while (s && s->fd != fd)
		s = s->next;
	if (s)
		return s;
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->client = client;
	s->fd = fd;
	s->watch = ts_watch_new(client->loop, fd, 0, on_socket, s);
	if (!s->watch) {
		free(s);
		return NULL;
	}
	s->next = client->watches;
	client->watches = s;
	return s;
}

static int want_socket(CURL *easy, curl_socket_t fd, int what, void *ctx,
		       void *socket_ctx)
{
	struct ts_http_client *client = ctx;
	struct ts_http_watch *s;

	(void)easy;
	(void)socket_ctx;
	if (what == CURL_POLL_REMOVE) {
		forget_socket(client, fd);
		return 0;
	}
	s = find_socket(client, fd);
	if (!s)
		return -1;
	ts_watch_set(s->watch,
		     (what & CURL_POLL_IN ? TS_READABLE : 0u) |
			     (what & CURL_POLL_OUT ? TS_WRITABLE : 0u));
	return 0;
}

/* -- life ----------------------------------------------------------------- */

bool ts_http_multi_open(struct ts_http_client *client)
{
	client->timer = ts_timer_new(client->loop, on_multi_timer, client);
	client->multi = curl_multi_init();
	if (!client->timer || !client->multi)
		return false;
	curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, want_socket);
	curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
	curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, want_timer);
	curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
	return true;
}

void ts_http_multi_close(struct ts_http_client *client)
{
	if (client->multi)
		curl_multi_cleanup(client->multi);
	while (client->watches)
		forget_socket(client, client->watches->fd);
	ts_timer_free(client->timer);
}
