/* SPDX-License-Identifier: BSD-3-Clause
 * ping_request.c - pings that the control server asks for
 *
 * It names an address and one or more ways to ping it, and gets one answer for
 * each that ends; one that got lost is not worth a message.
 * Source: control/controlclient/direct.go (doPingerPing); PROTOCOL 4.6
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/log.h"
#include "core/node/node_internal.h"

enum { TYPES_MAX = 4 };

struct request {
	struct ts_node *node;
	enum ts_ping_kind kind;
	struct ts_ip ip;
	char url[];
};

static const char *const kinds[] = {
	[TS_PING_DISCO] = "disco",
	[TS_PING_TSMP] = "TSMP",
	[TS_PING_ICMP] = "ICMP",
	[TS_PING_PEERAPI] = "peerapi",
};

int ts_ping_kind_parse(const char *text, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (strlen(kinds[i]) == len && memcmp(kinds[i], text, len) == 0)
			return (int)i;
	}
	return -1;
}

static void on_result(void *ctx, const struct ts_ping_result *result)
{
	struct request *request = ctx;
	struct ts_node *node = request->node;
	char *body = NULL;

	if (result->err == 0 || result->err == -EHOSTUNREACH ||
	    request->kind == TS_PING_PEERAPI)
		body = node_ping_answer(node, kinds[request->kind],
					&request->ip,
					result);
	else
		log_debug("node-%s: %s ping for the control server: %s",
			  node->prefs.hostname, kinds[request->kind],
			  ts_strerror(result->err));
	if (body)
		ts_control_post(node->control, request->url, body,
				strlen(body), node->now_ms);
	free(body);
	free(request);
}

static void start(struct ts_node *node, const char *url,
		  enum ts_ping_kind kind, const struct ts_ip *ip)
{
	size_t url_size = strlen(url) + 1;
	struct request *request = malloc(sizeof(*request) + url_size);

	if (!request)
		return;
	request->node = node;
	request->kind = kind;
	request->ip = *ip;
	memcpy(request->url, url, url_size);
	ts_node_ping(node, ip, kind, 0, node->now_ms, on_result, request);
}

static void start_named(struct ts_node *node, const char *url,
			const char *type, size_t len, const struct ts_ip *ip)
{
	int kind = ts_ping_kind_parse(type, len);

	if (kind >= 0)
		start(node, url, (enum ts_ping_kind)kind, ip);
	else
		log_debug("node-%s: the control server asks for a kind of "
			  "ping that is not served", node->prefs.hostname);
}

static bool is_page(const char *url)
{
	return strncmp(url, "https://", 8) == 0 ||
	       strncmp(url, "http://", 7) == 0;
}

void node_ping_request(struct ts_node *node, const char *url,
		       const char *types, const struct ts_ip *ip)
{
	if (!*types) {
		if (node->io.head && is_page(url))
			node->io.head(node->io_ctx, url);
		return;
	}
	for (unsigned i = 0; i < TYPES_MAX && types; i++) {
		size_t len = strcspn(types, ",");

		start_named(node, url, types, len, ip);
		types = types[len] ? types + len + 1 : NULL;
	}
}
