/* SPDX-License-Identifier: BSD-3-Clause
 * node_metrics.c - what was counted, as Prometheus reads it
 *
 * The counters are plain numbers of the loop's thread, next to what they
 * count; nothing is kept for this file's sake. Names, labels and help are
 * those of upstream, so that its dashboards work.
 * Source: wgengine/magicsock/magicsock.go (registerMetrics),
 * util/usermetric/metrics.go, health/usermetrics.go, util/clientmetric
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/node/node_internal.h"

static const char *const way_labels[TS_WAY_COUNT] = {
	[TS_WAY_DIRECT4] = "direct_ipv4",
	[TS_WAY_DIRECT6] = "direct_ipv6",
	[TS_WAY_DERP] = "derp",
	[TS_WAY_RELAY4] = "peer_relay_ipv4",
	[TS_WAY_RELAY6] = "peer_relay_ipv6",
};

static const char *const drop_labels[TS_DROPPED_COUNT] = {
	[TS_DROPPED_ACL] = "acl",
	[TS_DROPPED_MULTICAST] = "multicast",
	[TS_DROPPED_LINK_LOCAL] = "link_local_unicast",
	[TS_DROPPED_TOO_SHORT] = "too_short",
	[TS_DROPPED_ERROR] = "error",
};

void node_count_drop(uint64_t counters[static TS_DROPPED_COUNT],
		     const struct ts_packet_header *h)
{
	if (ts_ip_is_multicast(&h->dst))
		counters[TS_DROPPED_MULTICAST]++;
	else if (ts_ip_is_link_local(&h->dst))
		counters[TS_DROPPED_LINK_LOCAL]++;
	else
		counters[TS_DROPPED_ACL]++;
}

/* -- for people ----------------------------------------------------------- */
static void print_head(FILE *f, const char *name, const char *type,
		       const char *help)
{
	fprintf(f, "# TYPE %s %s\n# HELP %s %s\n", name, type, name, help);
}

static void print_labelled(FILE *f, const char *name, const char *label,
			   const char *const *values, const uint64_t *counters,
			   size_t count)
{
	for (size_t i = 0; i < count; i++)
		fprintf(f, "%s{%s=\"%s\"} %llu\n", name, label, values[i],
			(unsigned long long)counters[i]);
}

static void print_ways(FILE *f, const char *name, const char *help,
		       const uint64_t counters[static TS_WAY_COUNT])
{
	print_head(f, name, "counter", help);
	print_labelled(f, name, "path", way_labels, counters, TS_WAY_COUNT);
}

static void print_drops(FILE *f, const char *name, const char *help,
			const uint64_t counters[static TS_DROPPED_COUNT])
{
	print_head(f, name, "counter", help);
	print_labelled(f, name, "reason", drop_labels, counters,
		       TS_DROPPED_COUNT);
}

static void print_gauge(FILE *f, const char *name, const char *help,
			size_t value)
{
	print_head(f, name, "gauge", help);
	fprintf(f, "%s %zu\n", name, value);
}

/* Of our own routes those that the server lets through, without the exit
 * node's. */
static size_t approved_routes(const struct ts_node *node)
{
	const struct ts_peer *self = ts_node_netmap(node)->self;
	size_t n = 0;

	for (size_t i = 0; self && i < self->allowed_ip_count; i++)
		n += !ts_prefix_is_default(&self->allowed_ips[i]) &&
		     !ts_peer_has_address(self, &self->allowed_ips[i]);
	return n;
}

static size_t advertised_routes(const struct ts_node *node)
{
	json_t *prefs = ts_prefs_to_object(&node->prefs), *item;
	struct ts_prefix prefix;
	size_t i, n = 0;

	json_array_foreach(json_object_get(prefs, "AdvertiseRoutes"), i, item)
		n += json_is_string(item) &&
		     ts_prefix_parse(json_string_value(item), &prefix) == 0 &&
		     !ts_prefix_is_default(&prefix);
	json_decref(prefs);
	return n;
}

static size_t health_messages(const struct ts_node *node)
{
	json_t *texts = ts_node_health_texts(node);
	size_t n = json_array_size(texts);

	json_decref(texts);
	return n;
}

/* In the order of their names. */
static void print_user_metrics(FILE *f, const struct ts_node *node)
{
	struct ts_path_traffic t;

	ts_path_traffic(node->path, &t);
	print_gauge(f, "tailscaled_advertised_routes",
		    "Number of advertised network routes (e.g. by a subnet "
		    "router)", advertised_routes(node));
	print_gauge(f, "tailscaled_approved_routes",
		    "Number of approved network routes (e.g. by a subnet "
		    "router)", approved_routes(node));
	print_head(f, "tailscaled_health_messages", "gauge",
		   "Number of health messages broken down by type.");
	fprintf(f, "tailscaled_health_messages{type=\"warning\"} %zu\n",
		health_messages(node));
	print_gauge(f, "tailscaled_home_derp_region_id",
		    "DERP region ID of this node's home relay server",
		    (size_t)ts_path_home_region(node->path));
	print_ways(f, "tailscaled_inbound_bytes_total",
		   "Counts the number of bytes received from other peers",
		   t.in.bytes);
	print_drops(f, "tailscaled_inbound_dropped_packets_total",
		    "Counts the number of dropped packets received by the "
		    "node from other peers", node->dropped_in);
	print_ways(f, "tailscaled_inbound_packets_total",
		   "Counts the number of packets received from other peers",
		   t.in.packets);
	print_ways(f, "tailscaled_outbound_bytes_total",
		   "Counts the number of bytes sent to other peers",
		   t.out.bytes);
	print_drops(f, "tailscaled_outbound_dropped_packets_total",
		    "Counts the number of packets dropped while being sent to "
		    "other peers", node->dropped_out);
	print_ways(f, "tailscaled_outbound_packets_total",
		   "Counts the number of packets sent to other peers",
		   t.out.packets);
}

/* -- for developers ------------------------------------------------------- */
static const char *const client_ways[TS_WAY_COUNT] = {
	[TS_WAY_DIRECT4] = "ipv4",
	[TS_WAY_DIRECT6] = "ipv6",
	[TS_WAY_DERP] = "derp",
	[TS_WAY_RELAY4] = "peer_relay_ipv4",
	[TS_WAY_RELAY6] = "peer_relay_ipv6",
};

static void print_plain(FILE *f, const char *name, const char *type,
			uint64_t value)
{
	fprintf(f, "# TYPE %s %s\n%s %llu\n", name, type, name,
		(unsigned long long)value);
}

static void print_counter(FILE *f, const char *name, uint64_t value)
{
	print_plain(f, name, "counter", value);
}

static void print_client_ways(FILE *f, const char *what,
			      const uint64_t counters[static TS_WAY_COUNT])
{
	char name[96];

	for (size_t i = 0; i < TS_WAY_COUNT; i++) {
		snprintf(name, sizeof(name), "magicsock_%s_%s", what,
			 client_ways[i]);
		print_counter(f, name, counters[i]);
	}
}

static uint64_t by_filter(const uint64_t counters[static TS_DROPPED_COUNT])
{
	return counters[TS_DROPPED_ACL] + counters[TS_DROPPED_MULTICAST] +
	       counters[TS_DROPPED_LINK_LOCAL];
}

static void print_orders(FILE *f, const char *challenge,
			 const struct ts_cert_counts *orders)
{
	const struct {
		const char *what;
		uint64_t value;
	} all[] = {{"start", orders->start},
		   {"success", orders->success},
		   {"failure", orders->failure}};
	char name[64];

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		snprintf(name, sizeof(name), "cert_acme_%s_%s", challenge,
			 all[i].what);
		print_counter(f, name, all[i].value);
	}
}

static void print_certs(FILE *f, const struct ts_node *node)
{
	struct ts_cert_report report = {.pending = ""};

	if (node->io.cert_report)
		node->io.cert_report(node->io_ctx, &report);
	print_orders(f, "dns01", &report.orders[TS_CERT_DNS01]);
	print_orders(f, "tls_alpn01", &report.orders[TS_CERT_TLS_ALPN01]);
}

static void print_client_metrics(FILE *f, const struct ts_node *node)
{
	struct ts_path_traffic t;

	ts_path_traffic(node->path, &t);
	print_plain(f, "controlclient_map_requests_active", "gauge",
		    ts_node_in_map_poll(node));
	print_plain(f, "magicsock_netmap_num_peers", "gauge",
		    ts_netmap_peer_count(ts_node_netmap(node)));
	print_client_ways(f, "recv_data", t.in.packets);
	print_client_ways(f, "recv_data_bytes", t.in.bytes);
	print_client_ways(f, "send_data", t.out.packets);
	print_client_ways(f, "send_data_bytes", t.out.bytes);
	print_counter(f, "magicsock_send_derp", t.out.packets[TS_WAY_DERP]);
	print_counter(f, "magicsock_send_peer_relay",
		      t.out.packets[TS_WAY_RELAY4] +
			      t.out.packets[TS_WAY_RELAY6]);
	print_counter(f, "magicsock_send_udp",
		      t.out.packets[TS_WAY_DIRECT4] +
			      t.out.packets[TS_WAY_DIRECT6]);
	print_counter(f, "tstun_in_from_wg_drop_filter",
		      by_filter(node->dropped_in));
	print_counter(f, "tstun_out_to_wg_drop_filter",
		      by_filter(node->dropped_out));
	print_certs(f, node);
	/* Without a name upstream. */
	print_counter(f, "tsnet_disco_dropped", t.dropped_disco);
	print_counter(f, "tsnet_in_dropped_source", node->dropped_source);
	print_counter(f, "tsnet_unknown_sender_dropped", t.dropped_unknown);
}

/* -- as text -------------------------------------------------------------- */
static char *finish(FILE *f, char **text)
{
	bool is_bad = ferror(f) != 0;

	if (fclose(f) == 0 && !is_bad)
		return *text;
	free(*text);
	return NULL;
}

char *ts_node_user_metrics(const struct ts_node *node)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	print_user_metrics(f, node);
	return finish(f, &text);
}

char *ts_node_client_metrics(const struct ts_node *node)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	print_client_metrics(f, node);
	return finish(f, &text);
}
