/* SPDX-License-Identifier: BSD-3-Clause
 * serve_names.c - the names that what is served needs certificates for
 * Source: feature/acme/refresh.go (refreshApplicableCerts)
 *
 * Upstream asks for those of web servers without TLS as well. The names of
 * certificates are public for ever, so here nobody asks for what is not shown.
 */
#include <stdio.h>
#include <string.h>

#include "core/serve/serve_config.h"
#include "core/serve/serve_private.h"

enum { NAME_CAP = 256 };

struct listing {
	void (*fn)(void *ctx, const char *name);
	void *ctx;
};

/* "host:port" of a web server, behind TLS if its port is. */
static void list_web(const json_t *config, const char *key,
		     const struct listing *to)
{
	const char *colon = strrchr(key, ':');
	const json_t *ports = json_object_get(config, "TCP");
	char host[NAME_CAP];
	int n;

	if (!colon || !json_is_true(json_object_get(
			      json_object_get(ports, colon + 1), "HTTPS")))
		return;
	n = snprintf(host, sizeof(host), "%.*s", (int)(colon - key), key);
	if (n > 0 && (size_t)n < sizeof(host))
		to->fn(to->ctx, host);
}

/* A configuration, a foreground's, or a service's. */
static void list_one(const json_t *config, const struct listing *to)
{
	json_t *ports = json_object_get(config, "TCP"), *one;
	json_t *webs = json_object_get(config, "Web");
	struct ts_serve_tcp tcp;
	const char *key;

	json_object_foreach(webs, key, one)
		list_web(config, key, to);
	json_object_foreach(ports, key, one) {
		serve_read_tcp(one, &tcp);
		if (tcp.forward && tcp.terminate_tls && *tcp.terminate_tls)
			to->fn(to->ctx, tcp.terminate_tls);
	}
}

void ts_serve_tls_names(const json_t *config,
			void (*fn)(void *ctx, const char *name), void *ctx)
{
	const struct listing to = {.fn = fn, .ctx = ctx};
	json_t *one;
	const char *key;

	list_one(config, &to);
	json_object_foreach(json_object_get(config, "Foreground"), key, one)
		list_one(one, &to);
	json_object_foreach(json_object_get(config, "Services"), key, one)
		list_one(one, &to);
}
