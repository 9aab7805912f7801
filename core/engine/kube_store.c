/* SPDX-License-Identifier: BSD-3-Clause
 * kube_store.c - the state in a Kubernetes Secret, by the API server
 * Source: kube/kubeclient/client.go, ipn/store/kubestore/store_kube.go
 *
 * What to ask and what the answers mean is core/state/kube_secret.c; here are
 * the pod's service account and the requests. Loading runs the loop, on which
 * nothing else is yet, until the Secret is there or LOAD_MS are over. Saving
 * asks at the end of a turn, so that what changes together is written together,
 * and one request is under way at a time.
 *
 * The token is read for each request: it is replaced every hour or so, in
 * place. The server is believed by the cluster's CA alone, and no proxy is
 * asked.
 */
#include "core/engine/kube_store_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/addr.h"
#include "core/base/environment.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/crypto/secret.h"
#include "core/io/disk.h"
#include "core/state/kube_json.h"

#define ACCOUNT_DIR "/var/run/secrets/kubernetes.io/serviceaccount"
#define DEFAULT_SERVER "https://kubernetes.default.svc"

enum {
	ACCOUNT_FILE_MAX = 256 * 1024,
	ANSWER_MAX = 8 * 1024 * 1024, /* a Secret has at most 1 MB of data */
	REQUEST_MS = 10000,
	LOAD_MS = 25000,
	SAVE_NOW_MS = 20000,
};

/* -- the service account -------------------------------------------------- */

static int read_account(const struct kube_store *k, const char *name,
			char **out, char err[static 256])
{
	char *path = NULL;
	uint8_t *data = NULL;
	size_t len = 0;
	int code = -ENOMEM;

	if (asprintf(&path, "%s/%s", k->account_dir, name) >= 0)
		code = ts_disk_read(path, ACCOUNT_FILE_MAX, &data, &len);
	if (code) {
		snprintf(err, 256, "cannot read the service account's %s: %s "
			 "(a state in kube:NAME is for a pod of Kubernetes)",
			 path ? path : name, ts_strerror(code));
	} else { /* an editor's newline, which no header may have */
		while (len && strchr(" \t\r\n", data[len - 1]))
			data[--len] = '\0';
	}
	free(path);
	*out = (char *)data;
	return code;
}

static char *find_server(char **env)
{
	const char *host = ts_environment_get(env, "KUBERNETES_SERVICE_HOST");
	const char *port =
		ts_environment_get(env, "KUBERNETES_SERVICE_PORT_HTTPS");
	bool is_v6 = host && strchr(host, ':') && host[0] != '[';
	char *server = NULL;

	if (!host)
		return strdup(DEFAULT_SERVER);
	if (!port)
		port = ts_environment_get(env, "KUBERNETES_SERVICE_PORT");
	if (asprintf(&server, "https://%s%s%s:%s", is_v6 ? "[" : "", host,
		     is_v6 ? "]" : "", port ? port : "443") < 0)
		return NULL;
	return server;
}

/* -- requests ------------------------------------------------------------- */

static void pump(struct kube_store *k);

static void note(struct kube_store *k)
{
	const char *error = ts_kube_secret_error(k->secret);
	char last[sizeof(k->base.trouble)];

	if (!error)
		error = "";
	if (!k->done) {
		state_store_set_trouble(&k->base, error);
		return;
	}
	/* Who waits tells how it ends, and here why it takes so long. */
	memcpy(last, k->base.trouble, sizeof(last));
	snprintf(k->base.trouble, sizeof(k->base.trouble), "%s", error);
	if (*error && strcmp(last, k->base.trouble) != 0 &&
	    ts_kube_secret_phase(k->secret) != TS_KUBE_REFUSED)
		log_warn("state: %s: trying on", error);
}

/* Once: a second word would end the next run. */
void kube_store_stop_waiting(struct kube_store *k)
{
	if (!k->is_over)
		ts_loop_stop(k->loop);
	k->is_over = true;
}

static void follow(struct kube_store *k)
{
	note(k);
	if (k->done && (ts_kube_secret_phase(k->secret) == TS_KUBE_REFUSED ||
			k->done(k->secret)))
		kube_store_stop_waiting(k);
	else
		pump(k);
}

/* Another's change came first (no error): it is tried again, and told then. */
static void report_change(struct kube_store *k, int status)
{
	const char *error = ts_kube_secret_error(k->secret);

	if (status / 100 == 2)
		kube_report(k, KUBE_STATE_UPDATED, NULL);
	else if (error)
		kube_report(k, KUBE_STATE_UPDATE_FAILED, error);
}

static void on_reply(void *ctx, const struct ts_http_reply *reply)
{
	struct kube_store *k = ctx;
	uint64_t now_ms = ts_loop_now_ms(k->loop);

	k->request = NULL;
	if (reply->error)
		ts_kube_secret_failed(k->secret, reply->error, now_ms);
	else
		ts_kube_secret_input(k->secret, reply->status, reply->body,
				     reply->len, now_ms);
	if (k->is_writing)
		report_change(k, reply->status);
	follow(k);
}

static struct ts_http_request *
call(struct kube_store *k, const struct ts_kube_request *rq, const char *token,
     const char *url, ts_http_reply_fn fn, void *ctx)
{
	char *fields[3] = {NULL};
	struct ts_http_request *request = NULL;
	struct ts_http_call http = {
		.method = rq->method,
		.url = url,
		.fields = (const char *const *)fields,
		.body = rq->body,
		.ca_pem = k->ca_pem,
		.is_near = true,
		.body_max = ANSWER_MAX,
		.timeout_ms = REQUEST_MS,
	};

	if (asprintf(&fields[0], "Authorization: Bearer %s", token) >= 0)
		http.field_count++;
	if (http.field_count == 1 &&
	    asprintf(&fields[1], "Accept: application/json") >= 0)
		http.field_count++;
	if (http.field_count == 2 && rq->content_type &&
	    asprintf(&fields[2], "Content-Type: %s", rq->content_type) >= 0)
		http.field_count++;
	if (http.field_count == (rq->content_type ? 3 : 2))
		request = ts_http_call(k->http, &http, fn, ctx);
	for (size_t i = 0; i < http.field_count; i++)
		ts_wipe_free_text(fields[i]);
	return request;
}

struct ts_http_request *kube_store_send(struct kube_store *k,
					const struct ts_kube_request *rq,
					ts_http_reply_fn fn, void *ctx,
					char err[static 256])
{
	struct ts_http_request *request = NULL;
	char *token = NULL, *url = NULL;

	if (read_account(k, "token", &token, err) == 0) {
		snprintf(err, 256, "out of memory");
		if (asprintf(&url, "%s%s", k->server, rq->path) >= 0)
			request = call(k, rq, token, url, fn, ctx);
	}
	ts_wipe_free_text(token);
	free(url);
	return request;
}

static void ask(struct kube_store *k, const struct ts_kube_request *rq)
{
	char err[256];

	k->is_writing = strcmp(rq->method, "GET") != 0 &&
			strcmp(rq->path, KUBE_REVIEWS_PATH) != 0;
	k->request = kube_store_send(k, rq, on_reply, k, err);
	if (k->request) {
		log_debug("state: Secret %s: %s %s", k->base.name, rq->method,
			  rq->path);
		return;
	}
	ts_kube_secret_failed(k->secret, err, ts_loop_now_ms(k->loop));
	note(k);
	if (k->done) /* nothing that passes by itself */
		kube_store_stop_waiting(k);
}

/* Asks what there is to ask, or sets the timer for it. */
static void pump(struct kube_store *k)
{
	struct ts_kube_request rq;
	int code = ts_kube_secret_output(k->secret, ts_loop_now_ms(k->loop),
					 &rq);

	if (!code) {
		ask(k, &rq);
		ts_kube_request_deinit(&rq);
	}
	ts_timer_set(k->timer, ts_kube_secret_deadline_ms(k->secret));
}

static void on_timer(void *ctx)
{
	pump(ctx);
}

/* -- who waits ------------------------------------------------------------ */

static void on_limit(void *ctx)
{
	kube_store_stop_waiting(ctx);
}

static int wait_until(struct kube_store *k,
		      bool (*done)(const struct ts_kube_secret *k),
		      unsigned limit_ms, char err[static 256])
{
	const char *error;

	k->done = done;
	k->is_over = false;
	ts_loop_update(k->loop);
	ts_timer_set(k->limit, ts_loop_now_ms(k->loop) + limit_ms);
	pump(k);
	if (!done(k->secret))
		ts_loop_run(k->loop);
	ts_timer_set(k->limit, UINT64_MAX);
	k->done = NULL;
	k->base.trouble[0] = '\0';
	if (done(k->secret))
		return 0;
	error = ts_kube_secret_error(k->secret);
	snprintf(err, 256, "%s", error ? error : "the API server is silent");
	return ts_kube_secret_phase(k->secret) == TS_KUBE_REFUSED
		       ? -EACCES : -ETIMEDOUT;
}

static bool is_loaded(const struct ts_kube_secret *secret)
{
	return ts_kube_secret_phase(secret) == TS_KUBE_READY;
}

static int load(struct state_store *s, char err[static 256])
{
	struct kube_store *k = (struct kube_store *)s;
	int code = wait_until(k, is_loaded, LOAD_MS, err);

	if (!code) {
		log_info("state: Secret %s: loaded from %s", s->name,
			 k->server);
		kube_report(k, KUBE_STATE_LOADED, NULL);
	} else {
		kube_report(k, KUBE_STATE_LOAD_FAILED, err);
		kube_reports_finish(k);
	}
	return code;
}

static void save(struct state_store *s)
{
	struct kube_store *k = (struct kube_store *)s;

	ts_timer_set(k->timer, ts_kube_secret_deadline_ms(k->secret));
}

static int save_now(struct state_store *s, char err[static 256])
{
	return wait_until((struct kube_store *)s, ts_kube_secret_is_saved,
			  SAVE_NOW_MS, err);
}

static void finish(struct state_store *s)
{
	struct kube_store *k = (struct kube_store *)s;

	ts_kube_secret_hurry(k->secret);
	save(s);
}

static bool is_finished(const struct state_store *s)
{
	const struct kube_store *k = (const struct kube_store *)s;

	return ts_kube_secret_phase(k->secret) == TS_KUBE_REFUSED ||
	       ts_kube_secret_is_saved(k->secret);
}

static void free_store(struct state_store *s)
{
	struct kube_store *k = (struct kube_store *)s;

	ts_http_cancel(k->request);
	kube_reports_close(k);
	ts_kube_secret_free(k->secret);
	ts_timer_free(k->timer);
	ts_timer_free(k->limit);
	free(k->server);
	free(k->account_dir);
	free(k->ca_pem);
	free(k->namespace);
	free(s->name);
	free(k);
}

static const struct state_store_ops kube_ops = {
	.load = load,
	.save = save,
	.save_now = save_now,
	.finish = finish,
	.is_finished = is_finished,
	.free = free_store,
};

/* -- opening -------------------------------------------------------------- */

static int open_account(struct kube_store *k, const struct ts_config *config,
			char **env, char err[static 256])
{
	const char *dir = config->kube_account;
	const char *secret = config->kube_secret;
	int code;

	k->account_dir = strdup(dir ? dir : ACCOUNT_DIR);
	k->server = find_server(env);
	code = k->account_dir && k->server ? 0 : -ENOMEM;
	if (!code)
		code = read_account(k, "namespace", &k->namespace, err);
	if (!code)
		code = read_account(k, "ca.crt", &k->ca_pem, err);
	if (!code && !ts_kube_name_is_valid(k->namespace)) {
		snprintf(err, 256, "%s/namespace names no namespace",
			 k->account_dir);
		code = -EINVAL;
	}
	if (!code) {
		k->secret = ts_kube_secret_new(k->namespace, secret,
					       k->base.state);
		if (!k->secret ||
		    asprintf(&k->base.name, "%s/%s", k->namespace, secret) < 0)
			code = -ENOMEM;
	}
	if (!code)
		code = kube_reports_open(k, k->namespace, env);
	return code;
}

struct state_store *kube_store_new(struct ts_state *state,
				   struct ts_loop *loop,
				   struct ts_http_client *http,
				   const struct ts_config *config, char **env,
				   char err[static 256])
{
	struct kube_store *k = calloc(1, sizeof(*k));

	snprintf(err, 256, "out of memory");
	if (!k)
		return NULL;
	k->base.ops = &kube_ops;
	k->base.state = state;
	k->loop = loop;
	k->http = http;
	k->timer = ts_timer_new(loop, on_timer, k);
	k->limit = ts_timer_new(loop, on_limit, k);
	if (k->timer && k->limit && open_account(k, config, env, err) == 0)
		return &k->base;
	free_store(&k->base);
	return NULL;
}
