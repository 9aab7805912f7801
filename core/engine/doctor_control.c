/* SPDX-License-Identifier: BSD-3-Clause
 * doctor_control.c - can the control server be reached, and is it one?
 *
 * Its name, then GET /key as a node begins, and what the answer says of our
 * clock. Where nobody answers, the first thing that failed is what counts: so
 * there is one finding for the connection, in the words of the link.
 */
#include "core/engine/doctor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "core/base/addr.h"
#include "core/base/err.h"
#include "core/base/http_date.h"
#include "core/control/control_targets.h"
#include "core/control/derp_map_json.h"
#include "core/control/server_key_json.h"
#include "core/engine/doctor_fetch.h"

enum { ANSWER_MS = 10000, NAME_MS = 6000, SKEW_WARN_S = 60, HTTPS_PORT = 443,
       HTTP_PORT = 80 };

/* -- its name ------------------------------------------------------------- */
struct name_check {
	struct fetches *all;
	bool is_done;
	char error[160];
	char first[TS_IP_TEXT_CAP];
	size_t count;
};

static void on_resolved(void *ctx, const char *error, const struct ts_ip *ips,
			size_t count)
{
	struct name_check *check = ctx;

	check->is_done = true;
	check->count = count;
	if (error)
		snprintf(check->error, sizeof(check->error), "%s", error);
	else if (count > 0)
		ts_ip_format(&ips[0], check->first);
	check->all->running--;
	ts_loop_stop(check->all->loop);
}

static bool has_proxy(void)
{
	static const char *const names[] = {"HTTPS_PROXY", "https_proxy",
					    "ALL_PROXY", "all_proxy"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *value = getenv(names[i]);

		if (value && *value)
			return true;
	}
	return false;
}

static void tell_name(struct doctor *d, const char *host,
		      const struct name_check *check)
{
	if (check->count > 0)
		doctor_say(d, "dns", DOCTOR_OK, NULL, "%.120s is %s", host,
			   check->first);
	else if (has_proxy())
		doctor_say(d, "dns", DOCTOR_SKIPPED, NULL,
			   "%.120s is not known here; the proxy looks it up",
			   host);
	else
		doctor_say(d, "dns", DOCTOR_FAILED,
			   "check /etc/resolv.conf and the network, or the "
			   "name in control_url",
			   "%.120s: %s", host,
			   check->is_done ? check->error
					  : "no name server answers");
}

static void check_name(struct doctor *d, struct fetches *all, const char *host)
{
	struct name_check check = {.all = all};
	struct ts_resolve *query;
	struct ts_ip ip;

	if (ts_ip_parse(host, &ip) == 0)
		return;
	all->running++;
	query = ts_resolver_lookup(all->resolver, host, on_resolved, &check);
	if (query)
		fetches_run(all, NAME_MS);
	if (query && !check.is_done) {
		ts_resolve_cancel(query);
		all->running--;
	}
	tell_name(d, host, &check);
}

/* -- its answer ----------------------------------------------------------- */
static const char *advice_for(const char *error)
{
	if (strcasestr(error, "certificate") || strcasestr(error, "verify"))
		return "check the clock, SSL_CERT_FILE and ca-certificates, "
		       "and whether a proxy breaks TLS open";
	if (strcasestr(error, "refused"))
		return "is the server running? check control_url";
	return "check the network and its firewall (TCP port 443 outwards), "
	       "and HTTPS_PROXY where a proxy is needed";
}

static void check_clock(struct doctor *d, const struct fetch *f)
{
	const struct ts_http1_field *date = ts_http1_find(&f->head, "Date");
	long long ahead_s;
	time_t theirs;

	if (!date ||
	    ts_http_date_parse(date->value, date->value_len, &theirs))
		return;
	ahead_s = (long long)(time(NULL) - theirs);
	if (llabs(ahead_s) > SKEW_WARN_S)
		doctor_say(d, "clock", DOCTOR_WARNING,
			   "set it, or let NTP keep it: certificates and keys "
			   "seem expired, or not yet valid",
			   "%lld s %s the control server's", llabs(ahead_s),
			   ahead_s > 0 ? "ahead of" : "behind");
	else
		doctor_say(d, "clock", DOCTOR_OK, NULL,
			   "as the control server's");
}

static void check_key(struct doctor *d, const struct ts_control_url *url,
		      const struct fetch *f)
{
	struct ts_public_key key;
	char name[TS_KEY_SHORT_CAP];
	int err;

	if (!fetch_has_answer(f)) {
		const char *why = *f->error ? f->error : "no answer in time";

		doctor_say(d, "control", DOCTOR_FAILED, advice_for(why), "%s",
			   why);
		return;
	}
	err = f->head.status == 200
		      ? ts_server_key_read(f->body, f->body_len, &key)
		      : -EPROTO;
	if (err) {
		doctor_say(d, "control", DOCTOR_FAILED,
			   "is it the address of a control server? see "
			   "control_url in tsnet.conf(5)",
			   "%.200s/key answers with status %d, and no key",
			   url->base, f->head.status);
		return;
	}
	doctor_say(d, "control", DOCTOR_OK, NULL,
		   "%.200s answers%s, its key is %s", url->base,
		   url->is_https ? " by TLS" : "",
		   ts_public_key_short(&key, name));
}

/* -- relays, as servers tell everybody ------------------------------------ */
static void take_derp_map(struct doctor *d, const struct fetch *f)
{
	json_t *json;

	if (!fetch_has_answer(f) || f->head.status != 200)
		return;
	json = json_loadb(f->body, f->body_len, 0, NULL);
	if (json && ts_derp_map_from_json(json, NULL, &d->derp_map))
		d->derp_map = NULL;
	json_decref(json);
}

static void ask(struct doctor *d, struct fetches *all,
		const struct ts_control_url *url)
{
	struct ts_link_config link = {
		.host = url->host,
		.port = url->port	? url->port
			: url->is_https ? HTTPS_PORT
					: HTTP_PORT,
		.tls = url->is_https ? TS_LINK_TLS : TS_LINK_PLAIN,
	};
	struct fetch key, map;
	char path[280], map_path[280];

	snprintf(path, sizeof(path), "%s/key?v=%d", url->path,
		 TS_CAPABILITY_VERSION);
	snprintf(map_path, sizeof(map_path), "%s/derpmap/default", url->path);
	fetch_start(&key, all, &link, url->authority, path);
	fetch_start(&map, all, &link, url->authority, map_path);
	fetches_run(all, ANSWER_MS);
	check_key(d, url, &key);
	if (fetch_has_answer(&key))
		check_clock(d, &key);
	take_derp_map(d, &map);
	fetch_end(&key);
	fetch_end(&map);
}

void doctor_check_control(struct doctor *d)
{
	struct ts_control_url url;
	struct fetches all;

	if (ts_control_url_parse(d->config.control_url, &url)) {
		doctor_say(d, "control", DOCTOR_FAILED,
			   "see control_url in tsnet.conf(5)",
			   "%.200s is no address of a server",
			   d->config.control_url);
		return;
	}
	if (fetches_init(&all)) {
		doctor_say(d, "control", DOCTOR_FAILED, NULL, "out of memory");
		return;
	}
	check_name(d, &all, url.host);
	ask(d, &all, &url);
	fetches_deinit(&all);
}
