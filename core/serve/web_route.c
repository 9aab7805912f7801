/* SPDX-License-Identifier: BSD-3-Clause
 * web_route.c - which handler answers a path, and where it leads
 */
#include "core/serve/web_route.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/decimal.h"
#include "core/base/encode.h"
#include "core/base/err.h"

/* -- mounts --------------------------------------------------------------- */

char *ts_serve_clean_path(const char *path)
{
	char *out = malloc(strlen(path) + 2);
	size_t n = 0;

	if (!out)
		return NULL;
	while (*path) {
		size_t len = strcspn(path, "/");

		if (len == 2 && memcmp(path, "..", 2) == 0) {
			while (n > 0 && out[--n] != '/')
				;
		} else if (len > 0 && !(len == 1 && *path == '.')) {
			out[n++] = '/';
			memcpy(out + n, path, len);
			n += len;
		}
		path += len + (path[len] == '/');
	}
	if (n == 0)
		out[n++] = '/';
	out[n] = '\0';
	return out;
}

static const char *text_of(const json_t *handler, const char *name)
{
	return json_string_value(json_object_get(handler, name));
}

static bool found(const json_t *handlers, const char *mount,
		  struct ts_serve_handler *out)
{
	json_t *root = (json_t *)(uintptr_t)handlers;
	void *it = json_object_iter_at(root, mount);
	const json_t *handler;

	if (!it)
		return false;
	handler = json_object_iter_value(it);
	*out = (struct ts_serve_handler){
		.text = text_of(handler, "Text"),
		.redirect = text_of(handler, "Redirect"),
		.path = text_of(handler, "Path"),
		.proxy = text_of(handler, "Proxy"),
		.mount = json_object_iter_key(it),
		.caps = json_object_get(handler, "AcceptAppCaps"),
	};
	return true;
}

/* What is longer than any mount is none: to look for each of a long path's
 * prefixes would take time by its square. */
static void cut_to_longest(const json_t *handlers, char *path)
{
	json_t *root = (json_t *)(uintptr_t)handlers;
	size_t longest = 1;

	for (void *it = json_object_iter(root); it;
	     it = json_object_iter_next(root, it))
		if (json_object_iter_key_len(it) > longest)
			longest = json_object_iter_key_len(it);
	if (strlen(path) <= longest)
		return;
	while (longest > 0 && path[longest] != '/')
		longest--;
	path[longest ? longest : 1] = '\0';
}

/* at: an absolute path without a slash at its end, but for "/". */
static bool found_above(const json_t *handlers, char *at,
			struct ts_serve_handler *out)
{
	cut_to_longest(handlers, at);
	for (;;) {
		size_t len = strlen(at);
		char *slash;

		at[len] = '/'; /* there is room for it */
		at[len + 1] = '\0';
		if (found(handlers, len == 1 ? "/" : at, out))
			return true;
		at[len] = '\0';
		if (found(handlers, at, out))
			return true;
		if (len == 1)
			return false;
		slash = strrchr(at, '/');
		slash[slash == at] = '\0';
	}
}

bool ts_serve_find_handler(const json_t *handlers, const char *path,
			   struct ts_serve_handler *out)
{
	char *clean, *room;
	bool is_there;

	if (found(handlers, path, out))
		return true;
	if (*path != '/')
		return false;
	clean = ts_serve_clean_path(path);
	room = clean ? realloc(clean, strlen(clean) + 2) : NULL;
	if (!room) {
		free(clean);
		return false;
	}
	is_there = found_above(handlers, room, out);
	free(room);
	return is_there;
}

static bool ends_with(const char *text, size_t len, const char *tail)
{
	size_t tail_len = strlen(tail);

	return len >= tail_len &&
	       strncasecmp(text + len - tail_len, tail, tail_len) == 0;
}

void ts_serve_web_name(const char *host, const char *suffix,
		       char out[static TS_SERVE_HOST_CAP])
{
	const char *colon = strrchr(host, ':');
	size_t len = strlen(host);
	char dotted[TS_SERVE_HOST_CAP];
	int n;

	if (*host == '[') {
		host++;
		len = strcspn(host, "]");
	} else if (colon && colon == strchr(host, ':')) {
		len = (size_t)(colon - host);
	}
	snprintf(dotted, sizeof(dotted), ".%.255s", suffix);
	n = snprintf(out, TS_SERVE_HOST_CAP, "%.*s%s", (int)len, host,
		     ends_with(host, len, dotted) ? "" : dotted);
	if (n < 0 || n >= TS_SERVE_HOST_CAP) /* no such name */
		out[0] = '\0';
}

/* -- redirects ------------------------------------------------------------ */

static size_t expand(const char **at, const struct ts_serve_request *req,
		     const char **out)
{
	if (strncmp(*at, "${HOST}", 7) == 0) {
		*at += 7;
		*out = req->host;
		return strlen(req->host);
	}
	if (strncmp(*at, "${REQUEST_URI}", 14) == 0) {
		*at += 14;
		*out = req->head.target;
		return req->head.target_len;
	}
	*out = (*at)++;
	return 1;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

char *ts_serve_redirect(const char *redirect,
			const struct ts_serve_request *req, int *status)
{
	size_t most = strlen(req->host) > req->head.target_len
			      ? strlen(req->host) : req->head.target_len;
	size_t n = 0;
	char *out;

	*status = 302;
	if (*redirect == '3' && is_digit(redirect[1]) &&
	    is_digit(redirect[2]) && redirect[3] == ':') {
		*status = atoi(redirect);
		redirect += 4;
	}
	/* A variable has 7 letters at least. */
	out = malloc(strlen(redirect) + strlen(redirect) / 7 * most + most + 1);
	while (out && *redirect) {
		const char *part;
		size_t len = expand(&redirect, req, &part);

		memcpy(out + n, part, len);
		n += len;
	}
	if (out)
		out[n] = '\0';
	return out;
}

/* -- targets -------------------------------------------------------------- */

static const struct {
	const char *prefix;
	enum ts_serve_scheme scheme;
	uint16_t port;
} schemes[] = {
	{"http://", TS_SERVE_HTTP, 80},
	{"https://", TS_SERVE_HTTPS, 443},
	{"https+insecure://", TS_SERVE_HTTPS_INSECURE, 443},
};

static int set_host(struct ts_serve_target *out, const char *at, size_t len)
{
	if (len == 0 || len >= sizeof(out->host))
		return -EINVAL;
	memcpy(out->host, at, len);
	out->host[len] = '\0';
	return 0;
}

static int set_port(struct ts_serve_target *out, const char *at, size_t len)
{
	uint64_t port;

	if (ts_decimal_parse(at, len, UINT16_MAX, &port) || port == 0)
		return -EINVAL;
	out->port = (uint16_t)port;
	return 0;
}

/* "host", "host:port", "[v6]:port"; out->port is the default. */
static int set_authority(struct ts_serve_target *out, const char *at,
			 size_t len)
{
	const char *end = at + len, *colon, *close;
	int err;

	if (len > 0 && *at == '[') {
		close = memchr(at, ']', len);
		if (!close)
			return -EINVAL;
		err = set_host(out, at + 1, (size_t)(close - at - 1));
		colon = close + 1;
		if (colon < end && *colon != ':')
			return -EINVAL;
	} else {
		colon = memchr(at, ':', len);
		if (!colon)
			colon = end;
		err = set_host(out, at, (size_t)(colon - at));
	}
	if (err || colon >= end || colon + 1 == end)
		return err;
	return set_port(out, colon + 1, (size_t)(end - colon - 1));
}

static int set_unix(struct ts_serve_target *out, const char *path)
{
	size_t len = strlen(path);

	out->scheme = TS_SERVE_UNIX;
	if (len >= TS_SERVE_UNIX_CAP)
		return -EINVAL;
	return set_host(out, path, len);
}

/* What is in a head must not end a line of it. */
static bool is_clean(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text <= ' ' || *text == 0x7f)
			return false;
	return true;
}

static int set_url(struct ts_serve_target *out, const char *at)
{
	size_t len = strcspn(at, "/?#");
	const char *user = memchr(at, '@', len);

	if (user) { /* who it is, is not asked for */
		len -= (size_t)(user + 1 - at);
		at = user + 1;
	}
	out->path = at + len;
	out->path_len = strcspn(out->path, "?#");
	if (out->path[out->path_len] == '?') {
		out->query = out->path + out->path_len;
		out->query_len = strcspn(out->query, "#");
	}
	return is_clean(at) ? set_authority(out, at, len) : -EINVAL;
}

int ts_serve_target_parse(const char *proxy, struct ts_serve_target *out)
{
	*out = (struct ts_serve_target){.scheme = TS_SERVE_HTTP, .port = 80,
					.path = "", .query = NULL};
	if (strncmp(proxy, "unix:", 5) == 0)
		return set_unix(out, proxy + 5);
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		size_t len = strlen(schemes[i].prefix);

		if (strncmp(proxy, schemes[i].prefix, len) != 0)
			continue;
		out->scheme = schemes[i].scheme;
		out->port = schemes[i].port;
		return set_url(out, proxy + len);
	}
	if (*proxy && strspn(proxy, "0123456789") == strlen(proxy)) {
		strcpy(out->host, "127.0.0.1");
		return set_port(out, proxy, strlen(proxy));
	}
	return set_url(out, proxy);
}

int ts_serve_forward_parse(const char *forward, struct ts_serve_target *out)
{
	*out = (struct ts_serve_target){.scheme = TS_SERVE_HTTP, .path = ""};
	if (strncmp(forward, "unix:", 5) == 0)
		return set_unix(out, forward + 5);
	if (set_authority(out, forward, strlen(forward)) || out->port == 0)
		return -EINVAL;
	return 0;
}

/* -- the way of a request ------------------------------------------------- */

/* How much of the raw path is mount, which is decoded; -1: it is not. The path
 * was decoded before, so its percent signs are in order. */
static ssize_t skip_mount(const struct ts_serve_request *req,
			  const char *mount, size_t mount_len)
{
	const char *raw = req->raw_path;
	size_t at = 0;

	for (size_t i = 0; i < mount_len; i++) {
		char c;

		if (at >= req->raw_path_len)
			return -1;
		c = raw[at++];
		if (c == '%') {
			c = (char)ts_hex_byte(raw + at);
			at += 2;
		}
		if (c != mount[i])
			return -1;
	}
	return (ssize_t)at;
}

/* Two paths with one slash between them. */
static size_t join(char *out, const char *a, size_t a_len, const char *b,
		   size_t b_len)
{
	bool a_ends = a_len > 0 && a[a_len - 1] == '/';
	bool b_begins = b_len > 0 && *b == '/';
	size_t n = a_len;

	memcpy(out, a, a_len);
	if (a_ends && b_begins) {
		b++;
		b_len--;
	} else if (!a_ends && !b_begins) {
		out[n++] = '/';
	}
	memcpy(out + n, b, b_len);
	return n + b_len;
}

static size_t add_queries(char *out, const struct ts_serve_target *target,
			  const struct ts_serve_request *req)
{
	bool both = target->query_len > 1 && req->query_len > 1;
	size_t n = target->query_len;

	if (n > 0)
		memcpy(out, target->query, n);
	if (n > 0 && req->query_len > 0) {
		if (both)
			out[n++] = '&';
		memcpy(out + n, req->query + 1, req->query_len - 1);
		return n + req->query_len - 1;
	}
	if (req->query_len > 0)
		memcpy(out, req->query, req->query_len);
	return n + req->query_len;
}

char *ts_serve_target_path(const struct ts_serve_target *target,
			   const char *mount,
			   const struct ts_serve_request *req)
{
	size_t mount_len = strlen(mount), n;
	const char *rest = req->raw_path;
	size_t rest_len = req->raw_path_len;
	ssize_t skipped;
	char *out;

	if (mount_len > 0 && mount[mount_len - 1] == '/')
		mount_len--;
	if (strcmp(req->path, "/") != 0) {
		skipped = skip_mount(req, mount, mount_len);
		if (skipped < 0)
			return NULL;
		rest += skipped;
		rest_len -= (size_t)skipped;
	}
	out = malloc(target->path_len + rest_len + target->query_len +
		     req->query_len + 4);
	if (!out)
		return NULL;
	if (rest_len == 0 && target->path_len > 0) {
		memcpy(out, target->path, target->path_len);
		n = target->path_len;
	} else {
		n = join(out, target->path, target->path_len, rest, rest_len);
	}
	n += add_queries(out + n, target, req);
	out[n] = '\0';
	return out;
}
