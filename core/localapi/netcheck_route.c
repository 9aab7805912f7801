/* SPDX-License-Identifier: BSD-3-Clause
 * netcheck_route.c - POST netcheck: a check of the network, and its report
 *
 * Upstream's CLI makes the check itself; here the node does, from the socket
 * that its packets take. The report has the names of netcheck.Report.
 * Source: net/netcheck/netcheck.go (Report)
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/localapi/localapi_internal.h"
#include "core/path/netcheck.h"

static json_t *tristate(enum ts_tristate value)
{
	if (value == TS_UNKNOWN)
		return json_null();
	return json_boolean(value == TS_YES);
}

static void set_latency(json_t *obj, int region, bool has, uint64_t us)
{
	char key[16];

	snprintf(key, sizeof(key), "%d", region);
	if (has) /* nanoseconds, as Go writes durations */
		json_object_set_new(obj, key,
				    json_integer((json_int_t)us * 1000));
}

static void set_latencies(json_t *body, const struct ts_netcheck_report *report)
{
	json_t *all = json_object(), *v4 = json_object(), *v6 = json_object();

	for (size_t i = 0; i < report->region_count; i++) {
		const struct ts_netcheck_region *r = &report->regions[i];

		set_latency(all, r->id, r->has_latency, r->latency_us);
		set_latency(v4, r->id, r->has_v4, r->v4_us);
		set_latency(v6, r->id, r->has_v6, r->v6_us);
	}
	json_object_set_new(body, "RegionLatency", all);
	json_object_set_new(body, "RegionV4Latency", v4);
	json_object_set_new(body, "RegionV6Latency", v6);
}

static json_t *global_addr(const struct ts_netcheck_report *report, bool v6)
{
	char text[TS_ADDR_TEXT_CAP];

	for (size_t i = 0; i < report->mapped_count; i++) {
		const struct ts_addr *addr = &report->mapped[i].addr;

		if (ts_ip_is_v4(&addr->ip) != v6)
			return json_string(ts_addr_format(addr, text));
	}
	return json_string("");
}

static bool answered(const struct ts_netcheck_report *report, bool v6)
{
	for (size_t i = 0; i < report->region_count; i++)
		if (v6 ? report->regions[i].has_v6 : report->regions[i].has_v4)
			return true;
	return false;
}

/* Ours: upstream's report does not tell the address. */
static void set_mapped(json_t *body, const struct ts_node *node)
{
	char text[TS_ADDR_TEXT_CAP];
	struct ts_addr addr;

	if (ts_node_port_mapped(node, &addr))
		json_object_set_new(body, "PortMapped",
				    json_string(ts_addr_format(&addr, text)));
}

static void on_report(void *ctx, const struct ts_netcheck_report *report,
		      int home_region)
{
	struct localapi_call *call = ctx;
	const struct ts_net_info *info = ts_node_net_info(call->node);
	json_t *body = json_object();

	if (!report) {
		json_decref(body);
		localapi_reply_failure(call, "the check was given up");
		free(call);
		return;
	}
	json_object_set_new(body, "Now", localapi_time(call->now_unix));
	json_object_set_new(body, "UDP",
			    json_boolean(report->working_udp == TS_YES));
	json_object_set_new(body, "IPv4",
			    json_boolean(answered(report, false)));
	json_object_set_new(body, "IPv6", json_boolean(answered(report, true)));
	json_object_set_new(body, "OSHasIPv6",
			    json_boolean(info->os_has_ipv6 == TS_YES));
	json_object_set_new(body, "MappingVariesByDestIP",
			    tristate(report->mapping_varies));
	json_object_set_new(body, "UPnP", tristate(info->upnp));
	json_object_set_new(body, "PMP", tristate(info->pmp));
	json_object_set_new(body, "PCP", tristate(info->pcp));
	set_mapped(body, call->node);
	json_object_set_new(body, "PreferredDERP", json_integer(home_region));
	set_latencies(body, report);
	json_object_set_new(body, "GlobalV4", global_addr(report, false));
	json_object_set_new(body, "GlobalV6", global_addr(report, true));
	localapi_reply_json(call, 200, body);
	free(call);
}

void localapi_netcheck(const struct localapi_call *call)
{
	struct localapi_call *kept = malloc(sizeof(*kept));
	int err;

	if (!kept) {
		localapi_reply_failure(call, "out of memory");
		return;
	}
	*kept = *call;
	kept->request = NULL;
	err = ts_node_netcheck(call->node, call->now_ms, on_report, kept);
	if (err) {
		free(kept);
		localapi_reply_failure(call, err == -EAGAIN
						     ? "too many wait already"
						     : "no DERP map yet");
	}
}
