/* SPDX-License-Identifier: BSD-3-Clause
 * bugreport_route.c - what somebody who looks at the log later wants to see
 *
 * No log leaves this machine, so there is nothing that a marker could be looked
 * up in; upstream says it in these words when its upload is switched off. The
 * lines are in the log, and while a bug is recorded there are more of them.
 * Source: ipn/localapi/localapi.go (serveBugReport)
 */
#include <string.h>

#include "core/base/log.h"
#include "core/localapi/localapi_internal.h"

#define MARKER                                                                 \
	"BUG-NO-LOGS-NO-SUPPORT-this-node-has-had-its-logging-disabled"
#define RECORDED "magicsock"

enum { NOTE_MAX = 512, RECORDING_S = 12 * 3600, RECORDINGS_MAX = 4 };

static bool is_true(const char *text)
{
	return text && (strcmp(text, "true") == 0 || strcmp(text, "1") == 0);
}

static void log_health(const struct localapi_call *call)
{
	json_t *texts = ts_node_health_texts(call->node), *text;
	size_t i;

	if (json_array_size(texts) == 0)
		log_info("bugreport: health: ok");
	json_array_foreach (texts, i, text)
		log_info("bugreport: health: %s", json_string_value(text));
	json_decref(texts);
}

/* In place of upstream's checks of routers and permissions. */
static void diagnose(const struct localapi_call *call)
{
	const struct ts_net_info *net = ts_node_net_info(call->node);
	const struct ts_addr *endpoints;
	size_t count = ts_node_endpoints(call->node, &endpoints);
	char text[TS_ADDR_TEXT_CAP];

	log_info("bugreport: home relay %d, UDP %s, IPv6 %s, mapping varies %s",
		 net->preferred_derp, net->working_udp == TS_YES ? "yes" : "no",
		 net->working_ipv6 == TS_YES ? "yes" : "no",
		 net->mapping_varies == TS_YES ? "yes" : "no");
	for (size_t i = 0; i < count; i++)
		log_info("bugreport: endpoint %s",
			 ts_addr_format(&endpoints[i], text));
}

void localapi_bugreport(const struct localapi_call *call)
{
	const struct ts_peer *self = ts_node_netmap(call->node)->self;
	const char *note = localapi_query(call, "note");

	if (!localapi_may_log(call->api, call->now_ms)) {
		localapi_reply_error(call, 429, "too many lines at once");
		return;
	}
	log_info("bugreport: node %s, state %s, version %s",
		 self && self->stable_id ? self->stable_id : "(none)",
		 ts_node_state_name(ts_node_state(call->node)),
		 TSNET_VERSION);
	if (note && *note)
		log_info("bugreport: note: %.*s", NOTE_MAX, note);
	log_health(call);
	if (is_true(localapi_query(call, "diagnose")))
		diagnose(call);
	localapi_reply_text(call, 200, "text/plain",
			    strdup(is_true(localapi_query(call, "record"))
					   ? MARKER "\n" MARKER
					   : MARKER));
}

/* -- while a bug is recorded ---------------------------------------------- */
static void show(const struct ts_localapi *api, int64_t secs)
{
	char err[128];

	localapi_show_component(&api->env, api->env_ctx, RECORDED, secs, err);
}

bool ts_localapi_begin_recording(struct ts_localapi *api,
				 const struct ts_localapi_request *head,
				 uint64_t now_ms)
{
	if (strcmp(head->method, "POST") != 0 ||
	    strcmp(head->path, "/localapi/v0/bugreport") != 0 ||
	    !is_true(head->query(head->query_ctx, "record")) ||
	    api->recordings >= RECORDINGS_MAX ||
	    !localapi_may_log(api, now_ms))
		return false;
	log_info("bugreport: a recording begins");
	if (api->recordings++ == 0)
		show(api, RECORDING_S);
	return true;
}

void ts_localapi_end_recording(struct ts_localapi *api)
{
	log_info("bugreport: a recording ends");
	if (--api->recordings == 0)
		show(api, 0);
}
