/* SPDX-License-Identifier: BSD-3-Clause
 * local_client.c - asking a running node over its LocalAPI socket
 *
 * A node's socket is in its state directory, or in a runtime directory of its
 * own when its state is in memory. Those directories are searched; a socket
 * that nobody answers at is an abandoned one and does not count.
 */
#include "core/engine/local_client.h"

#include <curl/curl.h>
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/byte_queue.h"
#include "core/base/err.h"
#include "core/crypto/secret.h"
#include "core/state/conf_file.h"

enum { BODY_MAX = 256 * 1024 * 1024, TIMEOUT_S = 15, SEND_TIMEOUT_S = 30,
       URL_CAP = 1024,
       HOSTNAME_CAP = 64, REFUSAL_MAX = 64 * 1024 };

/* A program that has us inside may run others. */
static curl_socket_t open_socket(void *ctx, curlsocktype purpose,
				 struct curl_sockaddr *at)
{
	(void)ctx, (void)purpose;
	return socket(at->family, at->socktype | SOCK_CLOEXEC, at->protocol);
}

/* A path that was cut off would be another request. */
static int write_url(char url[static URL_CAP], const char *path,
		     char err[static 256])
{
	int len = snprintf(url, URL_CAP, "http://local-tailscaled.sock%s",
			   path);

	if (*path == '/' && len > 0 && len < URL_CAP)
		return 0;
	snprintf(err, 256, "%.60s%s: not a path of the LocalAPI", path,
		 strlen(path) > 60 ? "..." : "");
	return -EINVAL;
}

static CURL *prepare(const char *socket_path, const char *method,
		     const char *url)
{
	CURL *curl = curl_easy_init();

	if (!curl)
		return NULL;
	curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket_path);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	if (strcmp(method, "GET") != 0) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
		curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	}
	return curl;
}

/* Of a caller's choice; libcurl would send whatever it is given. */
static bool is_method(const char *method)
{
	size_t len = strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");

	return len > 0 && len < 16 && !method[len];
}

static int fail_to_talk(const char *socket_path, CURLcode code,
			char err[static 256])
{
	snprintf(err, 256, "cannot talk to the node at %.120s: %.80s",
		 socket_path, curl_easy_strerror(code));
	return -ECONNREFUSED;
}

static size_t on_body(char *data, size_t size, size_t count, void *ctx)
{
	return ts_byte_queue_push(ctx, data, size * count) ? 0 : size * count;
}

/* What goes along: JSON. */
static CURLcode add_text(CURL *curl, const char *text,
			 struct curl_slist **fields)
{
	*fields = curl_slist_append(NULL, "Content-Type: application/json");
	if (!*fields)
		return CURLE_OUT_OF_MEMORY;
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, *fields);
	return curl_easy_setopt(curl, CURLOPT_POSTFIELDS, text);
}

/* text may be NULL. */
static int perform(const char *socket_path, const char *method,
		   const char *path, const char *text,
		   struct ts_byte_queue *body, long *status,
		   char err[static 256])
{
	struct curl_slist *fields = NULL;
	char url[URL_CAP];
	CURL *curl = NULL;
	CURLcode code;

	if (!is_method(method)) {
		snprintf(err, 256, "no such method");
		return -EINVAL;
	}
	if (write_url(url, path, err))
		return -EINVAL;
	curl = prepare(socket_path, method, url);
	if (!curl)
		return -ENOMEM;
	curl_easy_setopt(curl, CURLOPT_TIMEOUT,
			 (long)(strcmp(method, "GET") ? SEND_TIMEOUT_S
						      : TIMEOUT_S));
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
	code = text ? add_text(curl, text, &fields) : CURLE_OK;
	if (code == CURLE_OK)
		code = curl_easy_perform(curl);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, status);
	curl_easy_cleanup(curl);
	curl_slist_free_all(fields);
	return code == CURLE_OK ? 0 : fail_to_talk(socket_path, code, err);
}

/* {"Error": "..."} or {"error": "..."}: what is in it. */
static bool take_json_error(const char *text, size_t len, char err[static 256])
{
	json_t *body = json_loadb(text ? text : "", len, 0, NULL);
	const char *why = json_string_value(json_object_get(body, "Error"));

	if (!why)
		why = json_string_value(json_object_get(body, "error"));
	if (why)
		snprintf(err, 256, "%s", why);
	json_decref(body);
	return why != NULL;
}

static int take_error(const struct ts_byte_queue *body, long status,
		      char err[static 256])
{
	size_t len = ts_byte_queue_len(body);
	const char *text = (const char *)ts_byte_queue_data(body);

	if (take_json_error(text, len, err))
		return status == 404 ? -ENOENT : -EPROTO;
	while (len > 0 && text[len - 1] == '\n')
		len--;
	snprintf(err, 256, "%.*s", len < 200 ? (int)len : 200,
		 text ? text : "");
	return status == 404 ? -ENOENT : -EPROTO;
}

int local_client_request(const char *socket_path, const char *method,
			 const char *path, json_t **out, char err[static 256])
{
	struct ts_byte_queue body;
	long status = 0;
	int code;

	ts_byte_queue_init(&body, BODY_MAX);
	code = perform(socket_path, method, path, NULL, &body, &status, err);
	if (!code && status != 200)
		code = take_error(&body, status, err);
	if (!code) {
		*out = json_loadb((const char *)ts_byte_queue_data(&body),
				  ts_byte_queue_len(&body), JSON_DECODE_ANY,
				  NULL);
		if (!*out) {
			snprintf(err, 256, "the node's answer is not JSON");
			code = -EBADMSG;
		}
	}
	ts_byte_queue_deinit(&body);
	return code;
}

int local_client_send(const char *socket_path, const char *method,
		      const char *path, const char *text, char **out,
		      char err[static 256])
{
	struct ts_byte_queue body;
	long status = 0;
	int code;

	ts_byte_queue_init(&body, BODY_MAX);
	code = perform(socket_path, method, path, text, &body, &status, err);
	if (!code && (status < 200 || status > 299))
		code = take_error(&body, status, err);
	if (!code && out) {
		size_t len = ts_byte_queue_len(&body);

		*out = strndup(len ? (const char *)ts_byte_queue_data(&body)
				   : "",
			       len);
		code = *out ? 0 : -ENOMEM;
	}
	ts_byte_queue_deinit(&body);
	return code;
}

/* -- streams --------------------------------------------------------------- */
struct taking {
	CURL *curl;
	int (*take)(void *ctx, const char *data, size_t len);
	void *ctx;
	int code;
	struct ts_byte_queue refusal; /* the body of another status than 200 */
};

static size_t on_stream(char *data, size_t size, size_t count, void *ctx)
{
	struct taking *t = ctx;
	long status = 0;

	curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status != 200)
		return ts_byte_queue_push(&t->refusal, data, size * count)
			       ? 0
			       : size * count;
	t->code = t->take(t->ctx, data, size * count);
	return t->code ? 0 : size * count;
}

/* libcurl calls this about once a second while nothing comes. */
static int on_progress(void *ctx, curl_off_t dltotal, curl_off_t dlnow,
		       curl_off_t ultotal, curl_off_t ulnow)
{
	struct taking *t = ctx;

	(void)dltotal, (void)dlnow, (void)ultotal, (void)ulnow;
	if (!t->code)
		t->code = t->take(t->ctx, NULL, 0);
	return t->code != 0;
}

int local_client_stream(const char *socket_path, const char *method,
			const char *path,
			int (*take)(void *ctx, const char *data, size_t len),
			void *ctx, char err[static 256])
{
	struct taking t = {.take = take, .ctx = ctx};
	char url[URL_CAP];
	long status = 0;
	CURLcode code;

	if (write_url(url, path, err))
		return -EINVAL;
	t.curl = prepare(socket_path, method, url);
	if (!t.curl)
		return -ENOMEM;
	ts_byte_queue_init(&t.refusal, REFUSAL_MAX);
	curl_easy_setopt(t.curl, CURLOPT_WRITEFUNCTION, on_stream);
	curl_easy_setopt(t.curl, CURLOPT_WRITEDATA, &t);
	curl_easy_setopt(t.curl, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(t.curl, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(t.curl, CURLOPT_XFERINFODATA, &t);
	code = curl_easy_perform(t.curl);
	curl_easy_getinfo(t.curl, CURLINFO_RESPONSE_CODE, &status);
	if (!t.code && status != 0 && status != 200)
		t.code = take_error(&t.refusal, status, err);
	else if (t.code)
		snprintf(err, 256, "%s", ts_strerror(t.code));
	else if (code != CURLE_OK)
		t.code = fail_to_talk(socket_path, code, err);
	curl_easy_cleanup(t.curl);
	ts_byte_queue_deinit(&t.refusal);
	return t.code;
}

/* -- finding a node -------------------------------------------------------- */
/* The node's hostname if it answers there. */
static bool answers(const char *socket_path, char name[static HOSTNAME_CAP])
{
	json_t *status = NULL;
	char ignored[256];
	const char *text;

	if (local_client_request(socket_path, "GET",
				 "/localapi/v0/status?peers=false", &status,
				 ignored))
		return false;
	text = json_string_value(json_object_get(
		json_object_get(status, "Self"), "HostName"));
	snprintf(name, HOSTNAME_CAP, "%s", text ? text : "?");
	json_decref(status);
	return true;
}

static bool is_mine(const char *path, struct stat *st)
{
	return stat(path, st) == 0 && S_ISSOCK(st->st_mode) &&
	       st->st_uid == geteuid();
}

struct found {
	char *path;
	dev_t dev; /* which socket that is */
	ino_t inode;
	size_t count;
	char names[160];
};

static void look_at(struct found *found, const char *path,
		    const char *hostname)
{
	char name[HOSTNAME_CAP];
	size_t len = strlen(found->names);
	struct stat st;

	if (!is_mine(path, &st) || !answers(path, name) ||
	    (hostname && strcmp(hostname, name) != 0))
		return;
	/* By another name: /tmp may be the runtime directory, too. */
	if (found->path && found->dev == st.st_dev &&
	    found->inode == st.st_ino)
		return;
	found->dev = st.st_dev;
	found->inode = st.st_ino;
	found->count++;
	snprintf(found->names + len, sizeof(found->names) - len, "%s%s",
		 len ? ", " : "", name);
	free(found->path);
	found->path = strdup(path);
}

static void search(struct found *found, const char *pattern,
		   const char *hostname)
{
	glob_t paths;

	if (glob(pattern, 0, NULL, &paths) == 0) {
		for (size_t i = 0; i < paths.gl_pathc; i++)
			look_at(found, paths.gl_pathv[i], hostname);
	}
	globfree(&paths);
}

static void search_all(struct found *found, const char *hostname)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	char *state = ts_config_default_state_dir(environ, "*");
	char pattern[URL_CAP];

	if (state) {
		snprintf(pattern, sizeof(pattern), "%s/tailscaled.sock", state);
		search(found, pattern, hostname);
	}
	if (runtime && *runtime) {
		snprintf(pattern, sizeof(pattern),
			 "%s/tsnet-*/tailscaled.sock", runtime);
		search(found, pattern, hostname);
	}
	search(found, "/tmp/tsnet-*/tailscaled.sock", hostname);
	free(state);
}

/* Whoever names a state directory means the node of that one, and no other. */
static bool names_directory(const char *state)
{
	return state && state[0] == '/' &&
	       strlen(state) + sizeof("/tailscaled.sock") <=
		       sizeof(((struct sockaddr_un *)0)->sun_path);
}

int local_client_find(const char *hostname, char **out, char err[static 256])
{
	const char *named = getenv("TSNET_LOCALAPI");
	const char *state = getenv("TSNET_STATE_DIR");
	struct found found = {0};

	if (named && *named) {
		*out = strdup(named);
		return *out ? 0 : -ENOMEM;
	}
	/* scripts/tsrun has named its socket if there is one. */
	if (names_directory(state)) {
		snprintf(err, 256, "no node runs with the state directory %.180s",
			 state);
		return -ENOENT;
	}
	search_all(&found, hostname);
	if (found.count == 1) {
		*out = found.path;
		return 0;
	}
	free(found.path);
	if (found.count > 1) {
		snprintf(err, 256, "several nodes are running (%s): choose one "
			 "with --hostname or --socket", found.names);
		return -EEXIST;
	}
	snprintf(err, 256, "no running node found%s%s", hostname ? " named " : "",
		 hostname ? hostname : "");
	return -ENOENT;
}
