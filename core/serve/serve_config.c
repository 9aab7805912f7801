/* SPDX-License-Identifier: BSD-3-Clause
 * serve_config.c - what a node serves by itself: ipn.ServeConfig
 *
 * One table says which fields there are, one function reads them all. A
 * foreground's configuration has the same form, so it reads itself; as it may
 * not have foregrounds of its own, the depth is bounded.
 */
#include "core/serve/serve_config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/model/json_fields.h"
#include "core/serve/serve_private.h"

enum { DEPTH_MAX = 6, PORT_MAX = 65535 };

enum kind {
	FLAG,
	NUMBER,
	TEXT,
	TEXTS,
	FLAGS,	   /* {text: bool} */
	PORT_MAP,  /* {port: object} */
	NAME_MAP,  /* {text: object} */
};

struct field {
	const char *name;
	enum kind kind;
	const struct field *of; /* of maps: what their values are */
	bool keeps_empty;
};

static const struct field tcp_fields[] = {
	{"HTTPS", FLAG, NULL, false},
	{"HTTP", FLAG, NULL, false},
	{"TCPForward", TEXT, NULL, false},
	{"TerminateTLS", TEXT, NULL, false},
	{"ProxyProtocol", NUMBER, NULL, false},
	{NULL, FLAG, NULL, false},
};
static const struct field http_fields[] = {
	{"Path", TEXT, NULL, false},
	{"Proxy", TEXT, NULL, false},
	{"Text", TEXT, NULL, false},
	{"AcceptAppCaps", TEXTS, NULL, false},
	{"Redirect", TEXT, NULL, false},
	{NULL, FLAG, NULL, false},
};
static const struct field web_fields[] = {
	{"Handlers", NAME_MAP, http_fields, true},
	{NULL, FLAG, NULL, false},
};
static const struct field service_fields[] = {
	{"TCP", PORT_MAP, tcp_fields, false},
	{"Web", NAME_MAP, web_fields, false},
	{"Tun", FLAG, NULL, false},
	{NULL, FLAG, NULL, false},
};
static const struct field config_fields[] = {
	{"TCP", PORT_MAP, tcp_fields, false},
	{"Web", NAME_MAP, web_fields, false},
	{"Services", NAME_MAP, service_fields, false},
	{"AllowFunnel", FLAGS, NULL, false},
	{"Foreground", NAME_MAP, config_fields, false},
	{NULL, FLAG, NULL, false},
};

/* -- reading -------------------------------------------------------------- */

static int bad(char err[static TS_SERVE_ERROR_CAP], const char *name,
	       const char *what)
{
	snprintf(err, TS_SERVE_ERROR_CAP, "%.48s: %.96s", name, what);
	return -EBADMSG;
}

static int read_object(const json_t *in, const struct field *fields,
		       unsigned depth, json_t **out,
		       char err[static TS_SERVE_ERROR_CAP]);

/* "0080" is the port 80. */
static bool read_port(const char *text, char out[static 8])
{
	int64_t port;

	if (*text < '0' || *text > '9' || ts_int_parse(text, &port) ||
	    port > PORT_MAX)
		return false;
	snprintf(out, 8, "%d", (int)port);
	return true;
}

static int read_entry(const char *key, const json_t *value,
		      const struct field *f, unsigned depth, json_t *map,
		      char err[static TS_SERVE_ERROR_CAP])
{
	char port[8];
	json_t *item = NULL;
	int code;

	if (f->kind == PORT_MAP && !read_port(key, port))
		return bad(err, key, "is not a port");
	if (f->kind == FLAGS)
		return !json_is_boolean(value)
			       ? bad(err, key, "is not true or false")
		       : json_object_set_new(map, key,
					     json_boolean(json_is_true(value)))
			       ? -ENOMEM
			       : 0;
	if (!json_is_object(value))
		return bad(err, key, "is not an object");
	code = read_object(value, f->of, depth + 1, &item, err);
	if (!code && json_object_set_new(map, f->kind == PORT_MAP ? port : key,
					 item))
		code = -ENOMEM;
	return code;
}

static int read_map(const json_t *in, const struct field *f, unsigned depth,
		    json_t **out, char err[static TS_SERVE_ERROR_CAP])
{
	json_t *root = (json_t *)(uintptr_t)in, *map;
	int code = 0;

	*out = NULL;
	if (!json_is_object(in))
		return bad(err, f->name, "is not an object");
	if (depth > DEPTH_MAX)
		return bad(err, f->name, "is nested too deeply");
	map = json_object();
	if (!map)
		return -ENOMEM;
	for (void *it = json_object_iter(root); it && !code;
	     it = json_object_iter_next(root, it)) {
		const char *key = json_object_iter_key(it);

		if (strlen(key) != json_object_iter_key_len(it))
			code = bad(err, f->name, "has a strange name in it");
		else
			code = read_entry(key, json_object_iter_value(it), f,
					  depth, map, err);
	}
	if (!code) {
		*out = ts_go_json_sorted(map);
		code = *out ? 0 : -ENOMEM;
	}
	json_decref(map);
	return code;
}

static int read_texts(const json_t *in, const struct field *f, json_t **out,
		      char err[static TS_SERVE_ERROR_CAP])
{
	json_t *item;
	size_t i;

	if (!json_is_array(in))
		return bad(err, f->name, "is not a list");
	json_array_foreach((json_t *)(uintptr_t)in, i, item)
		if (!json_is_string(item))
			return bad(err, f->name, "has more than texts in it");
	*out = json_copy((json_t *)(uintptr_t)in);
	return *out ? 0 : -ENOMEM;
}

/* Without what a C string, a header field or a line of ours cannot hold. */
static bool is_clean(const json_t *text)
{
	const char *value = json_string_value(text);

	return strlen(value) == json_string_length(text);
}

static int read_value(const json_t *in, const struct field *f, unsigned depth,
		      json_t **out, char err[static TS_SERVE_ERROR_CAP])
{
	switch (f->kind) {
	case FLAG:
		if (!json_is_boolean(in))
			return bad(err, f->name, "is not true or false");
		*out = json_boolean(json_is_true(in));
		return 0;
	case NUMBER:
		if (!json_is_integer(in))
			return bad(err, f->name, "is not a number");
		if (json_integer_value(in) < 0 || json_integer_value(in) > 2)
			return bad(err, f->name, "must be 1 or 2");
		*out = json_integer(json_integer_value(in));
		return *out ? 0 : -ENOMEM;
	case TEXT:
		if (!json_is_string(in) || !is_clean(in))
			return bad(err, f->name, "is not a text");
		*out = json_string(json_string_value(in));
		return *out ? 0 : -ENOMEM;
	case TEXTS:
		return read_texts(in, f, out, err);
	default:
		return read_map(in, f, depth, out, err);
	}
}

static bool is_empty(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return json_object_size(value) == 0;
	case JSON_ARRAY:
		return json_array_size(value) == 0;
	case JSON_STRING:
		return json_string_length(value) == 0;
	case JSON_INTEGER:
		return json_integer_value(value) == 0;
	default:
		return !json_is_true(value);
	}
}

static int read_field(const json_t *in, const struct field *f, unsigned depth,
		      json_t *object, char err[static TS_SERVE_ERROR_CAP])
{
	const json_t *given = ts_json_get(in, f->name);
	json_t *value = NULL;
	int code = 0;

	if (!given && !f->keeps_empty)
		return 0;
	if (given)
		code = read_value(given, f, depth, &value, err);
	else
		value = json_null();
	if (code)
		return code;
	if (!f->keeps_empty && is_empty(value)) {
		json_decref(value);
		return 0;
	}
	return json_object_set_new(object, f->name, value) ? -ENOMEM : 0;
}

static int read_object(const json_t *in, const struct field *fields,
		       unsigned depth, json_t **out,
		       char err[static TS_SERVE_ERROR_CAP])
{
	json_t *object = json_object();
	int code = object ? 0 : -ENOMEM;

	for (; fields->name && !code; fields++)
		code = read_field(in, fields, depth, object, err);
	if (code) {
		json_decref(object);
		object = NULL;
	}
	*out = object;
	return code;
}

int ts_serve_normalise(const json_t *value, json_t **out,
		       char err[static TS_SERVE_ERROR_CAP])
{
	*out = NULL;
	err[0] = '\0';
	if (!value || json_is_null(value))
		return 0;
	if (!json_is_object(value))
		return bad(err, "serve config", "is not an object");
	return read_object(value, config_fields, 0, out, err);
}

int ts_serve_parse(const char *text, size_t len, json_t **out,
		   char err[static TS_SERVE_ERROR_CAP])
{
	json_error_t why;
	json_t *value;
	int code;

	*out = NULL;
	if (len > TS_SERVE_TEXT_MAX) {
		snprintf(err, TS_SERVE_ERROR_CAP, "serve config: too long");
		return -EMSGSIZE;
	}
	value = json_loadb(text, len, TS_JSON_READ_FLAGS | JSON_DECODE_ANY,
			   &why);
	if (!value)
		return bad(err, "serve config", why.text);
	code = ts_serve_normalise(value, out, err);
	json_decref(value);
	return code;
}

char *ts_serve_format(const json_t *config)
{
	return ts_go_json(config);
}

int ts_serve_etag(const json_t *config, char out[static TS_GO_HASH_CAP])
{
	char *text = ts_go_json(config);

	if (!text)
		return -ENOMEM;
	ts_go_json_hash(text, "", out);
	free(text);
	return 0;
}

/* -- looking -------------------------------------------------------------- */

const json_t *serve_port_of(const json_t *config, uint16_t port)
{
	char key[8];

	snprintf(key, sizeof(key), "%u", port);
	return json_object_get(json_object_get(config, "TCP"), key);
}

const json_t *serve_find_port(const json_t *config, uint16_t port,
			       bool *is_foreground)
{
	json_t *sessions = json_object_get(config, "Foreground"), *one;
	const char *session;
	const json_t *found;

	json_object_foreach(sessions, session, one) {
		found = serve_port_of(one, port);
		*is_foreground = true;
		if (found)
			return found;
	}
	*is_foreground = false;
	return serve_port_of(config, port);
}

const json_t *serve_service_of(const json_t *config, const char *service)
{
	return json_object_get(json_object_get(config, "Services"), service);
}

static const char *text_of(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

void serve_read_tcp(const json_t *tcp, struct ts_serve_tcp *out)
{
	*out = (struct ts_serve_tcp){
		.https = json_is_true(json_object_get(tcp, "HTTPS")),
		.http = json_is_true(json_object_get(tcp, "HTTP")),
		.forward = text_of(tcp, "TCPForward"),
		.terminate_tls = text_of(tcp, "TerminateTLS"),
		.proxy_protocol = (int)json_integer_value(
			json_object_get(tcp, "ProxyProtocol")),
	};
}

bool ts_serve_find_tcp(const json_t *config, const char *service,
		       uint16_t port, struct ts_serve_tcp *out)
{
	bool is_foreground;
	const json_t *tcp = service
		? serve_port_of(serve_service_of(config, service), port)
		: serve_find_port(config, port, &is_foreground);

	if (!tcp)
		return false;
	serve_read_tcp(tcp, out);
	return true;
}

bool ts_serve_has_port(const json_t *config, uint16_t port)
{
	struct ts_serve_tcp tcp;

	return ts_serve_find_tcp(config, NULL, port, &tcp);
}

static const json_t *web_of(const json_t *config, const char *key)
{
	return json_object_get(json_object_get(config, "Web"), key);
}

const json_t *ts_serve_find_web(const json_t *config, const char *service,
				const char *host, uint16_t port)
{
	const json_t *web = NULL;
	char key[300];
	int n = snprintf(key, sizeof(key), "%s:%u", host, port);
	const char *session;
	json_t *one;

	if (n < 0 || (size_t)n >= sizeof(key))
		return NULL;
	if (service) {
		web = web_of(serve_service_of(config, service), key);
	} else {
		json_object_foreach(json_object_get(config, "Foreground"),
				    session, one) {
			web = web_of(one, key);
			if (web)
				break;
		}
		if (!web)
			web = web_of(config, key);
	}
	return json_object_get(web, "Handlers");
}

bool ts_serve_has_session(const json_t *config, const char *session)
{
	return json_object_get(json_object_get(config, "Foreground"),
			       session) != NULL;
}

json_t *ts_serve_without_session(const json_t *config, const char *session)
{
	json_t *out = json_deep_copy(config), *all;

	all = json_object_get(out, "Foreground");
	if (session)
		json_object_del(all, session);
	if (!session || json_object_size(all) == 0)
		json_object_del(out, "Foreground");
	return out;
}
