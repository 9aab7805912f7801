/* SPDX-License-Identifier: BSD-3-Clause
 * lab_routes.c - who answers which request over Noise
 */
#include "tests/lab/lab_routes.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "tests/lab/lab_id_token.h"
#include "tests/lab/lab_map.h"
#include "tests/lab/lab_ping.h"
#include "tests/lab/lab_register.h"
#include "tests/lab/lab_set_dns.h"
#include "tests/lab/lab_tka.h"

const char *lab_json_text(const json_t *obj, const char *name)
{
	const char *text = json_string_value(json_object_get(obj, name));

	return text ? text : "";
}

int lab_json_key(const json_t *obj, const char *name, const char *prefix,
		 struct ts_public_key *out)
{
	const char *text = lab_json_text(obj, name);

	*out = (struct ts_public_key){0};
	return *text ? ts_public_key_parse(text, prefix, out) : 0;
}

void lab_respond_json(struct lab_h2_stream *stream, json_t *obj)
{
	char *text = json_dumps(obj, JSON_COMPACT);

	json_decref(obj);
	if (text)
		lab_h2_respond(stream, 200, "application/json", NULL, text,
			       strlen(text));
	else
		lab_respond_error(stream, 500, "out of memory\n");
	free(text);
}

void lab_respond_error(struct lab_h2_stream *stream, int status,
		       const char *text)
{
	lab_h2_respond(stream, status, "text/plain; charset=utf-8", NULL, text,
		       strlen(text));
}

json_t *lab_request_json(struct lab_h2_stream *stream,
			 const struct lab_h2_request *req)
{
	json_t *obj = json_loadb((const char *)req->body, req->body_len,
				 JSON_REJECT_DUPLICATES, NULL);

	if (json_is_object(obj))
		return obj;
	json_decref(obj);
	lab_respond_error(stream, 400, "bad request: not a JSON object\n");
	return NULL;
}

static void serve_nothing(struct lab *lab, struct lab_h2_stream *stream,
			  const struct ts_public_key *machine,
			  const struct lab_h2_request *req)
{
	(void)lab;
	(void)machine;
	(void)req;
	lab_h2_respond(stream, 204, NULL, NULL, NULL, 0);
}

static const struct {
	const char *method, *path;
	bool is_prefix;
	void (*serve)(struct lab *lab, struct lab_h2_stream *stream,
		      const struct ts_public_key *machine,
		      const struct lab_h2_request *req);
} ROUTES[] = {
	{"POST", "/machine/register", false, lab_register_request},
	{"POST", "/machine/map", false, lab_map_request},
	{"POST", "/machine/set-dns", false, lab_set_dns_request},
	{"POST", "/machine/id-token", false, lab_id_token_request},
	{"POST", "/machine/update-health", false, serve_nothing},
	{"POST", "/machine/audit-log", false, serve_nothing},
	{"POST", "/ping/", true, lab_ping_answer},
	{"HEAD", "/ping/", true, lab_ping_answer},
	{"GET", "/machine/tka/", true, lab_tka_request},
};

void lab_route(struct lab *lab, struct lab_h2_stream *stream,
	       const struct ts_public_key *machine,
	       const struct lab_h2_request *req)
{
	for (size_t i = 0; i < ARRAY_LEN(ROUTES); i++) {
		bool fits = ROUTES[i].is_prefix
				    ? !strncmp(req->path, ROUTES[i].path,
					       strlen(ROUTES[i].path))
				    : !strcmp(req->path, ROUTES[i].path);

		if (fits && !strcmp(req->method, ROUTES[i].method)) {
			ROUTES[i].serve(lab, stream, machine, req);
			return;
		}
	}
	lab_respond_error(stream, 501, "Not implemented yet\n");
}
