/* SPDX-License-Identifier: BSD-3-Clause
 * http_client.c - HTTPS requests of the engine (libcurl multi on the loop)
 *
 * libcurl would resolve names on a thread of its own, and in a preloaded
 * program that thread looks like the program's. So we resolve first (the
 * host's name, or the proxy's when the environment names one) and hand libcurl
 * the addresses; it gets the proxy explicitly for the same reason. Redirects
 * are therefore followed here, each with its own look-up, and never from https
 * to http.
 *
 * A request is done in two steps: when libcurl says so it is only marked, and
 * the answer goes out after libcurl is off the stack, so that callbacks may
 * start and cancel requests.
 */
#include "core/io/http_client.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/byte_queue.h"
#include "core/base/err.h"
#include "core/crypto/secret.h"
#include "core/io/http_way.h"
#include "core/io/link_cert.h"
#include "core/io/link_tls.h"
#include "core/io/resolver.h"

enum { REDIRECTS_MAX = 5, TARGET_CAP = 280, HINT_CAP = 128 };

struct ts_http_request {
	struct ts_http_request *next;
	struct ts_http_client *client;
	struct ts_timer *timer; /* time limit, or deliver what is ready */
	struct ts_resolve *lookup;
	CURL *easy;
	bool is_added; /* easy is in the multi handle */
	bool is_ready; /* error or status tells; the timer delivers */
	char *url;
	bool is_near; /* the own network: no proxy, no redirect */
	char *post;   /* NULL: GET */
	struct curl_slist *headers;
	struct curl_slist *resolved;
	struct ts_http_way way;
	unsigned redirects;
	unsigned timeout_ms;
	uint64_t end_ms;
	struct ts_byte_queue body;
	size_t body_max;
	bool is_too_long;
	int status;
	char error[CURL_ERROR_SIZE + TARGET_CAP + HINT_CAP];
	char curl_error[CURL_ERROR_SIZE];
	ts_http_fn fn;
	void *ctx;
};

struct socket_watch {
	struct socket_watch *next;
	struct ts_http_client *client;
	struct ts_watch *watch;
	curl_socket_t fd;
};

struct ts_http_client {
	struct ts_loop *loop;
	struct ts_resolver *resolver;
	CURLM *multi;
	struct ts_timer *timer;
	struct socket_watch *watches;
	struct ts_http_request *requests;
};

/* -- the end of a request ------------------------------------------------- */

static void detach(struct ts_http_request *rq)
{
	if (rq->is_added)
		curl_multi_remove_handle(rq->client->multi, rq->easy);
	rq->is_added = false;
	if (rq->easy)
		curl_easy_cleanup(rq->easy);
	rq->easy = NULL;
	curl_slist_free_all(rq->resolved);
	rq->resolved = NULL;
	ts_resolve_cancel(rq->lookup);
	rq->lookup = NULL;
	ts_wipe(&rq->way.proxy, sizeof(rq->way.proxy));
}

static void free_request(struct ts_http_request *rq)
{
	struct ts_http_request **at = &rq->client->requests;

	while (*at && *at != rq)
		at = &(*at)->next;
	if (*at)
		*at = rq->next;
	detach(rq);
	ts_timer_free(rq->timer);
	ts_byte_queue_deinit(&rq->body);
	curl_slist_free_all(rq->headers);
	free(rq->post);
	free(rq->url);
	free(rq);
}

void ts_http_cancel(struct ts_http_request *request)
{
	if (request)
		free_request(request);
}

static void deliver_soon(struct ts_http_request *rq)
{
	rq->is_ready = true;
	ts_timer_set(rq->timer, ts_loop_now_ms(rq->client->loop));
}

static void fail(struct ts_http_request *rq, const char *reason)
{
	rq->status = 0;
	snprintf(rq->error, sizeof(rq->error), "%s:%u: %s", rq->way.host,
		 rq->way.port, reason);
	deliver_soon(rq);
}

/* The request leaves the list before fn runs, which may then free the client
 * or cancel others, but has nothing of this one left to cancel. */
static void deliver(struct ts_http_request *rq)
{
	struct ts_http_request done = *rq;
	const char *body = "";
	size_t len = 0;

	if (done.status && ts_byte_queue_push(&rq->body, "", 1) == 0) {
		body = (const char *)ts_byte_queue_data(&rq->body);
		len = ts_byte_queue_len(&rq->body) - 1;
	}
	done.body = rq->body;
	ts_byte_queue_init(&rq->body, 0);
	free_request(rq);
	done.fn(done.ctx, done.status, done.status ? body : "", len,
		done.status ? NULL : done.error);
	ts_byte_queue_deinit(&done.body);
}

static void on_request_timer(void *ctx)
{
	struct ts_http_request *rq = ctx;
	char reason[64];

	if (!rq->is_ready) {
		snprintf(reason, sizeof(reason), "%s: time-out after %u ms",
			 rq->lookup ? "resolve" : "request", rq->timeout_ms);
		detach(rq);
		fail(rq, reason);
	}
	deliver(rq);
}

/* -- libcurl on the loop -------------------------------------------------- */

static void start_request(struct ts_http_request *rq);

static bool is_redirect(int status)
{
	return status == 301 || status == 302 || status == 303 ||
	       status == 307 || status == 308;
}

/* Returns whether the request goes on at another place. */
static bool follow(struct ts_http_request *rq)
{
	char *to = NULL;
	char *copy;

	if (rq->is_near || !is_redirect(rq->status))
		return false;
	curl_easy_getinfo(rq->easy, CURLINFO_REDIRECT_URL, &to);
	if (!to)
		return false;
	if (rq->redirects++ == REDIRECTS_MAX) {
		fail(rq, "too many redirects");
		return true;
	}
	if (strncasecmp(rq->url, "https:", 6) == 0 &&
	    strncasecmp(to, "https:", 6) != 0) {
		fail(rq, "a redirect from https to http is refused");
		return true;
	}
	copy = strdup(to);
	if (!copy) {
		fail(rq, "out of memory");
		return true;
	}
	detach(rq);
	free(rq->url);
	rq->url = copy;
	ts_byte_queue_clear(&rq->body);
	start_request(rq);
	return true;
}

static void fail_transfer(struct ts_http_request *rq, CURLcode code)
{
	char reason[CURL_ERROR_SIZE + HINT_CAP];

	snprintf(reason, sizeof(reason), "%s%s",
		 rq->curl_error[0] ? rq->curl_error : curl_easy_strerror(code),
		 code == CURLE_PEER_FAILED_VERIFICATION
			 ? ts_cert_missing_roots_hint()
			 : "");
	fail(rq, reason);
}

static void finish_request(struct ts_http_request *rq, CURLcode code)
{
	long status = 0;

	curl_easy_getinfo(rq->easy, CURLINFO_RESPONSE_CODE, &status);
	if (rq->is_too_long) {
		fail(rq, "the answer is too long");
	} else if (code != CURLE_OK) {
		fail_transfer(rq, code);
	} else {
		rq->status = (int)status;
		if (!follow(rq))
			deliver_soon(rq);
	}
}

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
		finish_request(rq, code);
	}
}

static void on_socket(void *ctx, unsigned events)
{
	struct socket_watch *s = ctx;
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
	struct socket_watch **at = &client->watches;
	struct socket_watch *s;

	while (*at && (*at)->fd != fd)
		at = &(*at)->next;
	s = *at;
	if (!s)
		return;
	*at = s->next;
	ts_watch_free(s->watch);
	free(s);
}

static struct socket_watch *find_socket(struct ts_http_client *client,
					curl_socket_t fd)
{
	struct socket_watch *s = client->watches;

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
	struct socket_watch *s;

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

/* -- one request ---------------------------------------------------------- */

static size_t take_body(char *data, size_t size, size_t count, void *ctx)
{
	struct ts_http_request *rq = ctx;
	size_t len = size * count;

	if (ts_byte_queue_len(&rq->body) + len > rq->body_max) {
		rq->is_too_long = true;
		return 0;
	}
	return ts_byte_queue_push(&rq->body, data, len) ? 0 : len;
}

static CURLcode load_roots(CURL *easy, void *ssl_ctx, void *ctx)
{
	(void)easy;
	(void)ctx;
	ts_cert_load_roots(ssl_ctx);
	return CURLE_OK;
}

static bool set_options(struct ts_http_request *rq, const char *proxy)
{
	CURL *easy = rq->easy;
	uint64_t now_ms = ts_loop_now_ms(rq->client->loop);
	CURLcode bad = 0;

	bad |= curl_easy_setopt(easy, CURLOPT_URL, rq->url);
	bad |= curl_easy_setopt(easy, CURLOPT_PRIVATE, rq);
	bad |= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	bad |= curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
				(long)CURL_HTTP_VERSION_1_1);
	bad |= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
	bad |= curl_easy_setopt(easy, CURLOPT_WRITEDATA, rq);
	bad |= curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, rq->curl_error);
	bad |= curl_easy_setopt(easy, CURLOPT_PROXY, proxy);
	bad |= curl_easy_setopt(easy, CURLOPT_NOPROXY, ""); /* decided */
	bad |= curl_easy_setopt(easy, CURLOPT_RESOLVE, rq->resolved);
	bad |= curl_easy_setopt(easy, CURLOPT_USERAGENT, "tsnet-shim");
	/* Our own timer ends it; this one only keeps libcurl's own default
	 * (five minutes to connect) out of the way. */
	bad |= curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
				(long)(rq->end_ms > now_ms
					       ? rq->end_ms - now_ms : 1));
	/* Ours are found on every system; libcurl's were fixed when it was
	 * built, and it fails where they are not. */
	bad |= curl_easy_setopt(easy, CURLOPT_CAINFO, NULL);
	bad |= curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	bad |= curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, load_roots);
#if LIBCURL_VERSION_NUM >= 0x075700
	/* What load_roots adds would stay in a store that outlives this one. */
	bad |= curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, 0L);
#endif
	return bad == CURLE_OK;
}

static bool set_near_options(struct ts_http_request *rq)
{
	CURLcode bad = 0;

	bad |= curl_easy_setopt(rq->easy, CURLOPT_FORBID_REUSE, 1L);
	bad |= curl_easy_setopt(rq->easy, CURLOPT_HTTPHEADER, rq->headers);
	if (rq->post)
		bad |= curl_easy_setopt(rq->easy, CURLOPT_POSTFIELDS, rq->post);
	return bad == CURLE_OK;
}

static bool add_to_curl(struct ts_http_request *rq)
{
	const struct ts_http_way *way = &rq->way;
	char *url = ts_http_way_proxy_url(way);
	bool ok;

	rq->easy = url ? curl_easy_init() : NULL;
	ok = rq->easy && set_options(rq, url);
	if (ok && way->has_proxy && way->proxy.userinfo[0])
		ok = curl_easy_setopt(rq->easy, CURLOPT_PROXYUSERPWD,
				      way->proxy.userinfo) == CURLE_OK;
	free(url);
	if (ok && rq->is_near)
		ok = set_near_options(rq);
	if (ok)
		ok = curl_multi_add_handle(rq->client->multi, rq->easy) ==
		     CURLM_OK;
	rq->is_added = ok;
	return ok;
}

static void on_resolved(void *ctx, const char *error, const struct ts_ip *ips,
			size_t count)
{
	struct ts_http_request *rq = ctx;
	char reason[128];
	/* Which CURLOPT_RESOLVE has no way to name; libcurl needs no help. */
	bool is_ip6_literal = strchr(rq->way.host, ':');

	rq->lookup = NULL;
	if (error) {
		snprintf(reason, sizeof(reason), "resolve: %s", error);
		fail(rq, reason);
		return;
	}
	if (!is_ip6_literal)
		rq->resolved = ts_http_way_resolved(&rq->way, ips, count);
	if ((!rq->resolved && !is_ip6_literal) || !add_to_curl(rq))
		fail(rq, "out of memory");
}

static void start_request(struct ts_http_request *rq)
{
	char err[128];

	if (ts_http_way_choose(rq->url, rq->is_near, &rq->way, err)) {
		fail(rq, err);
		return;
	}
	rq->lookup = ts_resolver_lookup(rq->client->resolver, rq->way.host,
					on_resolved, rq);
	if (!rq->lookup)
		fail(rq, "out of memory");
}

static struct ts_http_request *new_request(struct ts_http_client *client,
					   const char *url, size_t body_max,
					   unsigned timeout_ms, ts_http_fn fn,
					   void *ctx)
{
	struct ts_http_request *rq = calloc(1, sizeof(*rq));

	if (!rq)
		return NULL;
	rq->client = client;
	rq->body_max = body_max;
	rq->timeout_ms = timeout_ms;
	rq->end_ms = ts_loop_now_ms(client->loop) + timeout_ms;
	rq->fn = fn;
	rq->ctx = ctx;
	rq->url = strdup(url);
	rq->timer = ts_timer_new(client->loop, on_request_timer, rq);
	ts_byte_queue_init(&rq->body, body_max + 1); /* and the NUL */
	rq->next = client->requests;
	client->requests = rq;
	if (rq->url && rq->timer)
		return rq;
	free_request(rq);
	return NULL;
}

struct ts_http_request *ts_http_get(struct ts_http_client *client,
				    const char *url, size_t body_max,
				    unsigned timeout_ms, ts_http_fn fn,
				    void *ctx)
{
	struct ts_http_request *rq =
		new_request(client, url, body_max, timeout_ms, fn, ctx);

	if (!rq)
		return NULL;
	ts_timer_set(rq->timer, rq->end_ms);
	start_request(rq);
	return rq;
}

/* Expect: the devices are small, and wait is all that many make of it. */
static bool set_soap(struct ts_http_request *rq, const char *action,
		     const char *body)
{
	static const char *const fixed[] = {
		"Content-Type: text/xml; charset=\"utf-8\"", "Expect:"};
	char line[HINT_CAP];
	struct curl_slist *list;

	snprintf(line, sizeof(line), "SOAPAction: %s", action);
	rq->post = strdup(body);
	rq->headers = curl_slist_append(NULL, line);
	for (size_t i = 0; rq->headers && i < ARRAY_LEN(fixed); i++) {
		list = curl_slist_append(rq->headers, fixed[i]);
		if (!list)
			return false;
		rq->headers = list;
	}
	return rq->post && rq->headers;
}

struct ts_http_request *ts_http_call_near(struct ts_http_client *client,
					  const char *url,
					  const char *soap_action,
					  const char *soap_body,
					  size_t body_max, unsigned timeout_ms,
					  ts_http_fn fn, void *ctx)
{
	struct ts_http_request *rq =
		new_request(client, url, body_max, timeout_ms, fn, ctx);

	if (!rq)
		return NULL;
	rq->is_near = true;
	if (soap_action && !set_soap(rq, soap_action, soap_body)) {
		free_request(rq);
		return NULL;
	}
	ts_timer_set(rq->timer, rq->end_ms);
	start_request(rq);
	return rq;
}

/* -- the client ----------------------------------------------------------- */

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void start_curl(void)
{
	ts_tls_init(); /* first, so that OpenSSL leaves exit handlers alone */
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

struct ts_http_client *ts_http_client_new(struct ts_loop *loop)
{
	struct ts_http_client *client = calloc(1, sizeof(*client));

	if (!client)
		return NULL;
	pthread_once(&curl_once, start_curl);
	client->loop = loop;
	client->resolver = ts_resolver_new(loop);
	client->timer = ts_timer_new(loop, on_multi_timer, client);
	client->multi = curl_multi_init();
	if (!client->resolver || !client->timer || !client->multi) {
		ts_http_client_free(client);
		return NULL;
	}
	curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, want_socket);
	curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
	curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, want_timer);
	curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
	return client;
}

void ts_http_client_free(struct ts_http_client *client)
{
	if (!client)
		return;
	while (client->requests)
		free_request(client->requests);
	if (client->multi)
		curl_multi_cleanup(client->multi);
	while (client->watches)
		forget_socket(client, client->watches->fd);
	ts_timer_free(client->timer);
	ts_resolver_free(client->resolver);
	free(client);
}
