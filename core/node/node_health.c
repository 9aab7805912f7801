/* SPDX-License-Identifier: BSD-3-Clause
 * node_health.c - what is wrong, in words for people
 *
 * Nothing is kept but since when: each warning is a question that is answered
 * anew whenever somebody asks. What takes a moment by nature (to connect, to
 * find a relay) is no warning before that moment is over. Codes are upstream's
 * where it has one. The control server's own messages come last; they are
 * shown, not judged.
 * Source: health/warnings.go, health/health.go (updateBuiltinWarnablesLocked)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/control/netmap_apply.h"
#include "core/model/json_fields.h"
#include "core/node/node_internal.h"

enum {
	PATIENCE_MS = 10000, /* for a relay */
	POLL_PATIENCE_MS = 60000,
	EXPIRY_NOTICE_S = 24 * 3600,
	DNS_FAILURES = 3, /* in a row */
	TEXT_CAP = 512,
};

struct warning {
	const char *code, *severity, *title;
	bool impacts; /* connections */
};

struct report {
	const struct ts_node *node;
	uint64_t now_ms;
	json_t *warnings; /* object or NULL: codes, as c2n shows them */
	json_t *texts;	  /* array or NULL */
};

static void add(struct report *r, const struct warning *w, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void add(struct report *r, const struct warning *w, const char *fmt, ...)
{
	char text[TEXT_CAP];
	va_list args;
	json_t *state;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (r->texts)
		json_array_append_new(r->texts, ts_json_words(text));
	if (!r->warnings)
		return;
	state = json_pack("{s:s, s:s, s:s}", "WarnableCode", w->code,
			  "Severity", w->severity, "Title", w->title);
	json_object_set_new(state, "Text", ts_json_words(text));
	if (w->impacts)
		json_object_set_new(state, "ImpactsConnectivity", json_true());
	json_object_set_new(r->warnings, w->code, state);
}

static bool is_over(const struct report *r, uint64_t since_ms, uint64_t ms)
{
	return since_ms != 0 && r->now_ms >= since_ms + ms;
}

/* -- the control server --------------------------------------------------- */
static void check_login(struct report *r)
{
	static const struct warning stopped = {"wantrunning-false", "low",
					       "Tailscale off", false};
	static const struct warning login = {"login-state", "medium",
					     "Logged out", true};
	static const struct warning approval = {"needs-machine-auth", "medium",
						"Waiting for approval", true};
	const struct ts_node *node = r->node;

	switch (node->state) {
	case TS_STOPPED:
		add(r, &stopped, "The node is stopped.");
		break;
	case TS_NEEDS_LOGIN:
		if (node->error)
			add(r, &login, "%s", node->error);
		else
			add(r, &login, "You are logged out.");
		break;
	case TS_NEEDS_MACHINE_AUTH:
		add(r, &approval, "An administrator of the tailnet has to "
		    "approve this node.");
		break;
	default:
		break;
	}
}

static void check_poll(struct report *r)
{
	static const struct warning lost = {"not-in-map-poll", "medium",
					    "Out of sync", false};
	const struct ts_node *node = r->node;

	if (node->state == TS_NEEDS_LOGIN || ts_node_in_map_poll(node))
		return;
	if (node->error)
		add(r, &lost, "%s", node->error);
	else if (is_over(r, node->poll_lost_ms, POLL_PATIENCE_MS))
		add(r, &lost, "No connection to the control server for %llu s: "
		    "what changes in the tailnet is not seen.",
		    (unsigned long long)(r->now_ms - node->poll_lost_ms) /
			    1000);
}

static void check_expiry(struct report *r)
{
	static const struct warning soon = {"key-expires-soon", "medium",
					    "Key expires soon", false};
	const struct ts_netmap *map = ts_node_netmap(r->node);
	int64_t left_s;

	if (!map->self || map->self->key_expiry_unix == 0)
		return;
	left_s = map->self->key_expiry_unix - map->control_time_delta_s -
		 node_wall_s(r->node);
	if (left_s > 0 && left_s < EXPIRY_NOTICE_S)
		add(r, &soon, "This node's key expires in %lld minutes: it "
		    "will have to log in again.", (long long)left_s / 60);
}

static void check_clock(struct report *r)
{
	static const struct warning skew = {"clock-skew", "medium",
					    "Clock is wrong", false};
	int64_t delta_s = ts_node_netmap(r->node)->control_time_delta_s;

	if (delta_s)
		add(r, &skew, "This machine's clock is %lld s %s the control "
		    "server's: certificates and keys may seem to have expired.",
		    (long long)llabs(delta_s), delta_s > 0 ? "behind"
							   : "ahead of");
}

static void check_policy(struct report *r)
{
	static const struct warning lock = {"tailnet-lock", "high",
					    "Tailnet Lock", true};
	static const struct warning void_filter = {
		"packet-filter-void", "high", "Packet filter refused", true};

	const char *lock_problem = ts_node_lock_problem(r->node);

	if (lock_problem)
		add(r, &lock, "%s", lock_problem);
	if (ts_filter_is_void(r->node->filter))
		add(r, &void_filter, "The control server's rules would admit a "
		    "peer without a signed key: nothing is let in.");
}

/* -- the network ---------------------------------------------------------- */
static void name_region(const struct report *r, int region, char out[static 80])
{
	const struct ts_derp_region *found = ts_derp_map_region(
		ts_node_netmap(r->node)->derp_map, region);

	snprintf(out, 80, "%d%s%.60s%s", region,
		 found && found->name ? " (" : "",
		 found && found->name ? found->name : "",
		 found && found->name ? ")" : "");
}

static void check_relays(struct report *r)
{
	static const struct warning no_home = {
		"no-derp-home", "medium", "No home relay server", true};
	static const struct warning no_connection = {
		"no-derp-connection", "medium", "Relay server unavailable",
		true};
	static const struct warning problem = {"derp-region-error", "low",
					       "Relay server error", false};
	const struct ts_node *node = r->node;
	const struct ts_derp_map *map = ts_node_netmap(node)->derp_map;
	int home = ts_path_home_region(node->path);
	char name[80];

	if (!map || map->region_count == 0 || !ts_node_in_map_poll(node) ||
	    !is_over(r, node->poll_since_ms, PATIENCE_MS))
		return;
	name_region(r, home, name);
	if (home == 0)
		add(r, &no_home, "No relay server (DERP) could be reached: "
		    "peers behind a NAT cannot call this node.");
	else if (is_over(r, ts_path_home_lost_ms(node->path), PATIENCE_MS))
		add(r, &no_connection, "No connection to this node's relay "
		    "server, DERP region %s: peers that have no direct path "
		    "cannot reach it.", name);
	if (node->derp_problem)
		add(r, &problem, "Relay server (DERP region %d): %s",
		    node->derp_problem_region, node->derp_problem);
}

static void check_udp(struct report *r)
{
	static const struct warning no_udp = {"no-udp", "medium",
					      "UDP is blocked", false};

	if (r->node->has_net_info && r->node->net_info.working_udp == TS_NO)
		add(r, &no_udp, "No answer by UDP (STUN) from any relay "
		    "server: this network blocks UDP, and all traffic is "
		    "relayed.");
}

static void check_state(struct report *r)
{
	static const struct warning unsaved = {"state-store-health", "high",
					       "State not saved", false};
	const struct ts_node_io *io = &r->node->io;
	const char *trouble =
		io->state_trouble ? io->state_trouble(r->node->io_ctx) : NULL;

	if (trouble)
		add(r, &unsaved, "%s. What changed is not kept: a restart may "
		    "have to log in again.", trouble);
}

static void check_certs(struct report *r)
{
	static const struct warning pending = {
		"tls-cert-pending", "low", "Fetching TLS certificate", false};
	const struct ts_node_io *io = &r->node->io;
	struct ts_cert_report report = {.pending = ""};

	if (io->cert_report)
		io->cert_report(r->node->io_ctx, &report);
	if (report.pending[0])
		add(r, &pending, "TLS clients wait until the CA has given a "
		    "certificate for: %s", report.pending);
}

static void check_dns(struct report *r)
{
	static const struct warning failing = {"dns-forward-failing", "medium",
					       "DNS unavailable", false};

	if (r->node->dns_failures >= DNS_FAILURES)
		add(r, &failing, "The name servers do not answer: names "
		    "outside of the tailnet cannot be looked up.");
}

/* -- the control server's own words --------------------------------------- */
static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static void message_text(const json_t *message, char out[static TEXT_CAP])
{
	const char *title = text_of(message, "Title");
	const char *text = text_of(message, "Text");
	const json_t *action = json_object_get(message, "PrimaryAction");
	size_t len;

	snprintf(out, TEXT_CAP, "%.100s%s%.250s", title,
		 *title && *text ? ": " : *title ? "." : "", text);
	len = strlen(out);
	if (*text_of(action, "URL"))
		snprintf(out + len, TEXT_CAP - len, " %.40s: %.100s",
			 text_of(action, "Label"), text_of(action, "URL"));
}

static json_t *message_state(const char *code, const json_t *message)
{
	const char *severity = text_of(message, "Severity");
	const json_t *action = json_object_get(message, "PrimaryAction");
	json_t *state;

	if (strcmp(severity, "high") != 0 && strcmp(severity, "low") != 0)
		severity = "medium";
	state = json_pack("{s:s, s:s, s:s, s:s}", "WarnableCode", code,
			  "Severity", severity, "Title",
			  text_of(message, "Title"), "Text",
			  text_of(message, "Text"));
	if (json_is_true(json_object_get(message, "ImpactsConnectivity")))
		json_object_set_new(state, "ImpactsConnectivity", json_true());
	if (json_is_object(action))
		json_object_set_new(
			state, "PrimaryAction",
			json_pack("{s:s, s:s}", "URL", text_of(action, "URL"),
				  "Label", text_of(action, "Label")));
	return state;
}

static void add_message(struct report *r, const char *id, const json_t *message)
{
	char text[TEXT_CAP], code[160];

	message_text(message, text);
	snprintf(code, sizeof(code), "control-health.%.140s", id);
	if (r->texts)
		json_array_append_new(r->texts, ts_json_words(text));
	if (r->warnings)
		json_object_set_new(r->warnings, code,
				    message_state(code, message));
}

/* The older list of texts counts only where there are no messages. */
static void add_words(struct report *r)
{
	const struct ts_netmap *map = ts_node_netmap(r->node);
	const char *id;
	json_t *message;

	if (json_object_size(map->display_messages) > 0) {
		json_object_foreach(map->display_messages, id, message)
			add_message(r, id, message);
		return;
	}
	for (size_t i = 0; i < map->health_count; i++) {
		char number[24];

		snprintf(number, sizeof(number), "%zu", i);
		message = json_pack("{s:s}", "Text", map->health[i]);
		add_message(r, number, message);
		json_decref(message);
	}
}

static void examine(struct report *r)
{
	check_login(r);
	check_poll(r);
	check_expiry(r);
	check_clock(r);
	check_policy(r);
	check_relays(r);
	check_udp(r);
	check_dns(r);
	check_state(r);
	check_certs(r);
	add_words(r);
}

/* -- from outside --------------------------------------------------------- */
static uint64_t now_of(const struct ts_node *node)
{
	return node->io.now_ms ? node->io.now_ms(node->io_ctx) : node->now_ms;
}

json_t *ts_node_health_texts(const struct ts_node *node)
{
	struct report r = {.node = node, .now_ms = now_of(node),
			   .texts = json_array()};

	examine(&r);
	return r.texts;
}

json_t *ts_node_health_warnings(const struct ts_node *node)
{
	struct report r = {.node = node, .now_ms = now_of(node),
			   .warnings = json_object()};

	examine(&r);
	return r.warnings;
}

void ts_node_dns_result(struct ts_node *node, bool was_answered)
{
	if (was_answered)
		node->dns_failures = 0;
	else if (node->dns_failures < DNS_FAILURES)
		node->dns_failures++;
}

void node_health_follow_poll(struct ts_node *node)
{
	bool is_in_poll = ts_node_in_map_poll(node);

	if (is_in_poll && node->poll_since_ms == 0)
		node->poll_since_ms = node->now_ms;
	if (is_in_poll) {
		node->poll_lost_ms = 0;
		return;
	}
	if (node->poll_lost_ms == 0)
		node->poll_lost_ms = node->now_ms;
	node->poll_since_ms = 0;
}

void node_health_derp(struct ts_node *node, int region, const char *problem)
{
	if (!problem && region != node->derp_problem_region)
		return;
	free(node->derp_problem);
	node->derp_problem = problem ? strdup(problem) : NULL;
	node->derp_problem_region = region;
}
