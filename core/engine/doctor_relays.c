/* SPDX-License-Identifier: BSD-3-Clause
 * doctor_relays.c - relays (DERP), UDP, and the gateway's port mapping
 *
 * The list of relays is the running node's, or what the control server tells
 * everybody; Headscale, for one, tells it only to nodes. UDP is asked about
 * where it matters, at the running node's own socket; without a node, from a
 * socket of ours, by the node's own network check.
 */
#include "core/engine/doctor.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/control/derp_map_json.h"
#include "core/engine/doctor_fetch.h"
#include "core/engine/engine_internal.h"
#include "core/engine/local_client.h"
#include "core/io/gateway.h"
#include "core/model/netmap_edit.h"
#include "core/path/netcheck.h"

enum { REGIONS_MAX = 64, ANSWER_MS = 6000, DATAGRAM_MAX = 1500 };

/* -- which relays --------------------------------------------------------- */
static void ask_node_for_map(struct doctor *d)
{
	char err[256];
	json_t *json = NULL;
	struct ts_derp_map *map = NULL;

	if (!d->cli->socket ||
	    local_client_request(d->cli->socket, "GET",
				 "/localapi/v0/derpmap", &json, err))
		return;
	if (json_is_object(json) &&
	    ts_derp_map_from_json(json, NULL, &map) == 0) {
		ts_derp_map_free(d->derp_map);
		d->derp_map = map;
	}
	json_decref(json);
}

static const struct ts_derp_node *first_relay(const struct ts_derp_region *r)
{
	for (size_t i = 0; i < r->node_count; i++)
		if (!r->nodes[i].stun_only)
			return &r->nodes[i];
	return NULL;
}

/* -- by HTTPS ------------------------------------------------------------- */
static size_t start_all(struct doctor *d, struct fetches *all,
			struct fetch fetches[static REGIONS_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < d->derp_map->region_count && n < REGIONS_MAX;
	     i++) {
		const struct ts_derp_node *node =
			first_relay(&d->derp_map->regions[i]);
		struct ts_link_config link;

		if (!node)
			continue;
		engine_derp_link(node, &link);
		link.timeout_ms = ANSWER_MS;
		fetch_start(&fetches[n++], all, &link, node->host_name,
			    "/derp/latency-check");
	}
	return n;
}

static void tell_relays(struct doctor *d, size_t count, size_t answered,
			const char *error)
{
	if (answered == count)
		doctor_say(d, "relays", DOCTOR_OK, NULL,
			   "%zu of %zu DERP regions answer by HTTPS", answered,
			   count);
	else if (answered > 0)
		doctor_say(d, "relays", DOCTOR_WARNING, NULL,
			   "%zu of %zu DERP regions answer by HTTPS; one that "
			   "does not: %s", answered, count, error);
	else
		doctor_say(d, "relays", DOCTOR_FAILED,
			   "let TCP port 443 out to the relays, or set "
			   "HTTPS_PROXY: without them peers find each other "
			   "only by luck",
			   "none of %zu DERP regions answers: %s", count,
			   error);
}

void doctor_check_relays(struct doctor *d)
{
	struct fetch *fetches;
	struct fetches all;
	const char *error = "no answer in time";
	size_t count, answered = 0;

	ask_node_for_map(d);
	if (!d->derp_map || d->derp_map->region_count == 0) {
		doctor_say(d, "relays", DOCTOR_SKIPPED, NULL,
			   "this server tells them only to its nodes: ask "
			   "again while one is running");
		return;
	}
	fetches = calloc(REGIONS_MAX, sizeof(*fetches));
	if (!fetches || fetches_init(&all)) {
		free(fetches);
		return;
	}
	count = start_all(d, &all, fetches);
	fetches_run(&all, ANSWER_MS);
	for (size_t i = 0; i < count; i++) {
		if (fetch_has_answer(&fetches[i]))
			answered++;
		else if (*fetches[i].error)
			error = fetches[i].error;
	}
	tell_relays(d, count, answered, error);
	for (size_t i = 0; i < count; i++)
		fetch_end(&fetches[i]);
	fetches_deinit(&all);
	free(fetches);
}

/* -- by UDP, without a node ----------------------------------------------- */
struct udp_check {
	struct doctor *d;
	int fds[2]; /* IPv4, IPv6; -1: none */
	bool is_done;
};

static void tell_udp(struct doctor *d, bool works, const char *addr,
		     bool varies)
{
	if (!works)
		doctor_say(d, "udp", DOCTOR_WARNING,
			   "let UDP out (to any port, answers back in): "
			   "else all traffic is relayed",
			   "no relay answers by UDP (STUN)");
	else if (varies)
		doctor_say(d, "udp", DOCTOR_WARNING,
			   "direct paths need a peer with an easier NAT, or a "
			   "gateway that maps ports (NAT-PMP, PCP, UPnP)",
			   "works; seen as %s, by each server at another port",
			   addr);
	else
		doctor_say(d, "udp", DOCTOR_OK, NULL,
			   "works; this machine is seen as %s", addr);
}

static void on_send(void *ctx, const struct ts_addr *to, const uint8_t *pkt,
		    size_t len)
{
	struct udp_check *check = ctx;
	int family = ts_addr_family(to);
	int fd = check->fds[family == AF_INET6];
	struct sockaddr_storage ss;
	int size = ts_addr_to_sockaddr(to, family, &ss);

	if (fd >= 0 && size > 0 &&
	    sendto(fd, pkt, len, 0, (struct sockaddr *)&ss,
		   (socklen_t)size) < 0)
		return; /* no route: it counts as no answer */
}

static void on_check_done(void *ctx, const struct ts_netcheck_report *report,
			  uint64_t now_ms)
{
	struct udp_check *check = ctx;
	char addr[TS_ADDR_TEXT_CAP] = "?";

	(void)now_ms;
	check->is_done = true;
	if (report->mapped_count > 0)
		ts_addr_format(&report->mapped[0].addr, addr);
	if (report->working_udp == TS_UNKNOWN)
		doctor_say(check->d, "udp", DOCTOR_SKIPPED, NULL,
			   "no relay that could be asked");
	else
		tell_udp(check->d, report->working_udp == TS_YES, addr,
			 report->mapping_varies == TS_YES);
}

static const struct ts_netcheck_ops check_ops = {
	.send = on_send,
	.done = on_check_done,
};

static uint64_t clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void take_answers(struct ts_netcheck *n, int fd)
{
	uint8_t pkt[DATAGRAM_MAX];
	ssize_t len;

	while (fd >= 0 &&
	       (len = recv(fd, pkt, sizeof(pkt), MSG_DONTWAIT)) >= 0)
		ts_netcheck_input(n, pkt, (size_t)len, clock_ms());
}

static void wait_for_answers(struct udp_check *check, struct ts_netcheck *n)
{
	while (!check->is_done) {
		struct pollfd fds[2] = {{check->fds[0], POLLIN, 0},
					{check->fds[1], POLLIN, 0}};
		uint64_t now = clock_ms(), at = ts_netcheck_deadline_ms(n);

		poll(fds, 2, at > now ? (int)(at - now) : 0);
		take_answers(n, check->fds[0]);
		take_answers(n, check->fds[1]);
		if (!check->is_done)
			ts_netcheck_tick(n, clock_ms());
	}
}

static void check_udp_here(struct doctor *d)
{
	struct udp_check check = {
		.d = d,
		.fds = {socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0),
			socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0)},
	};
	struct ts_netcheck n;

	ts_netcheck_init(&n, &check_ops, &check);
	if (ts_netcheck_start(&n, d->derp_map, 0, true, clock_ms()) == 0)
		wait_for_answers(&check, &n);
	ts_netcheck_deinit(&n);
	for (size_t i = 0; i < ARRAY_LEN(check.fds); i++)
		if (check.fds[i] >= 0)
			close(check.fds[i]);
}

/* -- by UDP, at the node -------------------------------------------------- */
static void tell_mapping(struct doctor *d, const json_t *report)
{
	static const char *const kinds[] = {"UPnP", "PMP", "PCP"};
	const char *mapped = cli_text(report, "PortMapped");
	bool any = false;

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		any |= json_is_true(json_object_get(report, kinds[i]));
	if (*mapped)
		doctor_say(d, "gateway", DOCTOR_OK, NULL,
			   "leads %s here: peers reach this node directly",
			   mapped);
	else if (any)
		doctor_say(d, "gateway", DOCTOR_WARNING,
			   "look into its log, or forward a UDP port by hand "
			   "(port, endpoints in tsnet.conf(5))",
			   "maps ports, but not one for this node");
	else
		doctor_say(d, "gateway", DOCTOR_SKIPPED, NULL,
			   "maps no ports (NAT-PMP, PCP, UPnP); most direct "
			   "paths work without");
}

static bool check_udp_of_node(struct doctor *d)
{
	char err[256];
	json_t *report = NULL;

	if (!doctor_has_node(d) ||
	    local_client_request(d->cli->socket, "POST",
				 "/localapi/v0/netcheck", &report, err))
		return false;
	tell_udp(d, json_is_true(json_object_get(report, "UDP")),
		 cli_text(report, *cli_text(report, "GlobalV4") ? "GlobalV4"
								: "GlobalV6"),
		 json_is_true(json_object_get(report,
					      "MappingVariesByDestIP")));
	tell_mapping(d, report);
	json_decref(report);
	return true;
}

static void tell_gateway(struct doctor *d)
{
	char text[TS_IP_TEXT_CAP];
	struct ts_ip gateway, own;

	if (ts_default_gateway(&gateway, &own))
		doctor_say(d, "gateway", DOCTOR_SKIPPED, NULL,
			   "there is none (IPv4)");
	else
		doctor_say(d, "gateway", DOCTOR_SKIPPED, NULL,
			   "%s; a running node asks it for a port",
			   ts_ip_format(&gateway, text));
}

void doctor_check_udp(struct doctor *d)
{
	if (check_udp_of_node(d))
		return;
	if (d->derp_map && d->derp_map->region_count > 0)
		check_udp_here(d);
	else
		doctor_say(d, "udp", DOCTOR_SKIPPED, NULL,
			   "no relay that could be asked");
	tell_gateway(d);
}
