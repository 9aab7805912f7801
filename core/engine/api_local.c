/* SPDX-License-Identifier: BSD-3-Clause
 * api_local.c - the LocalAPI, for this process and on loopback
 *
 * Requests go over the server's own socket, as those of the tailscale CLI do,
 * so that there is one way in. What is not a request, to open the loopback
 * port, is done on the engine's thread.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/byte_queue.h"
#include "core/base/err.h"
#include "core/crypto/secret.h"
#include "core/engine/api_internal.h"
#include "core/engine/local_client.h"
#include "core/host/proxy.h"

enum { QUERY_CAP = 256, LINES_MAX = 64 * 1024 };

/* -- requests ------------------------------------------------------------- */

static json_t *request(struct tsnet *ts, const char *method, const char *path)
{
	char err[256] = "";
	json_t *out = NULL;
	int code = api_check(ts, method && path, "method and path");

	if (!code)
		code = api_enter(ts);
	if (code)
		return NULL;
	code = local_client_request(ts->localapi, method, path, &out, err);
	if (code)
		api_fail(ts, code, "%s", err[0] ? err : ts_strerror(code));
	api_leave(ts);
	return code ? NULL : out;
}

/* Takes json. */
static char *as_text(struct tsnet *ts, json_t *json)
{
	char *text;

	if (!json)
		return NULL;
	text = json_dumps(json, JSON_ENCODE_ANY | JSON_COMPACT);
	json_decref(json);
	if (!text)
		api_fail(ts, -ENOMEM, "out of memory");
	return text;
}

char *tsnet_local_request(struct tsnet *ts, const char *method,
			  const char *path)
{
	return as_text(ts, request(ts, method, path));
}

char *tsnet_local_send(struct tsnet *ts, const char *method, const char *path,
		       const char *text)
{
	char err[256] = "", *out = NULL;
	int code = api_check(ts, method && path, "method and path");

	if (!code)
		code = api_enter(ts);
	if (code)
		return NULL;
	code = local_client_send(ts->localapi, method, path, text, &out, err);
	if (code)
		api_fail(ts, code, "%s", err[0] ? err : ts_strerror(code));
	api_leave(ts);
	return code ? NULL : out;
}

/* false: it does not fit. */
static bool add_escaped(char *out, size_t cap, const char *text)
{
	size_t at = strlen(out);

	for (; *text; text++) {
		bool is_plain = (*text >= '0' && *text <= '9') ||
				(*text >= 'a' && *text <= 'z') ||
				(*text >= 'A' && *text <= 'Z') || *text == '.';
		int n = snprintf(out + at, cap - at, is_plain ? "%c" : "%%%02X",
				 (unsigned char)*text);

		if (n < 0 || (size_t)n >= cap - at)
			return false;
		at += (size_t)n;
	}
	return true;
}

char *tsnet_whois(struct tsnet *ts, const char *address)
{
	char path[QUERY_CAP] = "/localapi/v0/whois?addr=";

	if (api_check(ts, address, "address"))
		return NULL;
	if (!add_escaped(path, sizeof(path), address)) {
		api_fail(ts, -EINVAL, "%.60s: not an address", address);
		return NULL;
	}
	return tsnet_local_request(ts, "GET", path);
}

static char *join_lines(const json_t *list)
{
	struct ts_byte_queue out;
	char *text = NULL;
	const json_t *item;
	size_t i;
	int err = 0;

	ts_byte_queue_init(&out, LINES_MAX);
	json_array_foreach(list, i, item) {
		const char *name = json_string_value(item);

		if (!name || err)
			continue;
		err = ts_byte_queue_push(&out, name, strlen(name));
		if (!err)
			err = ts_byte_queue_push(&out, "\n", 1);
	}
	if (!err)
		text = strndup(ts_byte_queue_len(&out)
				       ? (const char *)ts_byte_queue_data(&out)
				       : "",
			       ts_byte_queue_len(&out));
	ts_byte_queue_deinit(&out);
	return text;
}

char *tsnet_cert_domains(struct tsnet *ts)
{
	json_t *status = request(ts, "GET", "/localapi/v0/status?peers=false");
	char *text;

	if (!status)
		return NULL;
	text = join_lines(json_object_get(status, "CertDomains"));
	json_decref(status);
	if (!text)
		api_fail(ts, -ENOMEM, "out of memory");
	return text;
}

/* -- the loopback port ---------------------------------------------------- */

struct opening {
	struct ts_proxy_access access;
	int err;
};

static void open_loopback(struct ts_engine *engine, void *ctx)
{
	struct opening *o = ctx;

	o->err = ts_engine_open_proxy(engine, true, &o->access);
}

static int open_port(struct tsnet *ts, struct opening *o)
{
	int err = api_enter(ts);

	if (err)
		return err;
	err = ts_engine_thread_call(&ts->host, open_loopback, o);
	if (!err)
		err = o->err;
	if (err)
		api_fail(ts, err, "cannot open a port of 127.0.0.1: %s",
			 ts_strerror(err));
	api_leave(ts);
	return err;
}

_Static_assert((int)TSNET_CRED_CAP == (int)TS_PROXY_SECRET_CAP,
	       "callers have room for a password");

int tsnet_loopback(struct tsnet *ts, char *addr, size_t cap,
		   char proxy_cred[TSNET_CRED_CAP],
		   char local_cred[TSNET_CRED_CAP])
{
	struct opening o = {.err = 0};
	char text[TS_ADDR_TEXT_CAP];
	int err = api_check(ts, (addr || !cap) && proxy_cred && local_cred,
			    "addr and credentials");

	if (err)
		return err;
	if (cap > 0)
		addr[0] = '\0';
	proxy_cred[0] = local_cred[0] = '\0';
	err = open_port(ts, &o);
	if (!err && strlen(ts_addr_format(&o.access.at, text)) >= cap)
		err = api_fail(ts, -ENOBUFS, "the buffer is too small");
	if (!err) {
		strcpy(addr, text);
		strcpy(proxy_cred, o.access.password);
		strcpy(local_cred, o.access.local_password);
	}
	ts_wipe(&o.access, sizeof(o.access));
	return err;
}
