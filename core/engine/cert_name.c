/* SPDX-License-Identifier: BSD-3-Clause
 * cert_name.c - what is known of one name's certificate
 * Source: feature/acme/{cert,refresh,c2n}.go
 *
 * A name has a record here once somebody has asked for it. What is stored and
 * fit is given at once; whether it is time for another one is found out behind
 * (the CA's own suggestion, else two thirds of its life), by whoever asks, and
 * every hour. Only who finds nothing fit waits for the CA. After a failure the
 * CA is left in peace: half a minute, then twice as long each time, an hour at
 * most, or as long as it asked for. Meanwhile the answer is the same error.
 *
 * The CA is given its proof in the DNS, by the control server. Where that cannot
 * be, and where Funnel brings the CA to us anyway, by TLS (tls-alpn-01): for a
 * funnel's name that is not the tailnet's, and for renewals. If a renewal fails
 * so, it is tried by the DNS.
 *
 * A certificate whose issuer this system does not know is taken for none, as
 * upstream has it, so that a leftover of some test CA does not stay; unless the
 * directory is one that was chosen, or we have got it ourselves.
 */
#include "core/engine/cert_name.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/err.h"
#include "core/base/log.h"
#include "core/crypto/secret.h"
#include "core/engine/cert_issue.h"
#include "core/engine/cert_share.h"
#include "core/engine/cert_store.h"
#include "core/engine/engine_internal.h"
#include "core/model/json_fields.h"
#include "core/node/node_serve.h"
#include "core/serve/funnel_rule.h"

enum {
	REST_FIRST_MS = 30 * 1000,
	REST_MAX_MS = 3600 * 1000,
	LOOK_AGAIN_MS = 2000,
};

/* -- which names ---------------------------------------------------------- */

static bool has_wildcards(const struct ts_netmap *map)
{
	return map->self && map->self->cap_map &&
	       json_object_get(map->self->cap_map, "dns-subdomain-resolve");
}

static bool has_funnel(const struct ts_engine *engine, const char *domain)
{
	char target[TS_CERT_DOMAIN_CAP + 4];

	snprintf(target, sizeof(target), "%s:443", domain);
	return domain[0] != '*' &&
	       ts_serve_lets_funnel(ts_node_serve(engine->node), target);
}

static const json_t *domains_of(const struct ts_engine *engine)
{
	const struct ts_netmap *map = ts_node_netmap(engine->node);

	return map->dns ? ts_json_array(map->dns->raw, "CertDomains") : NULL;
}

/* A name of the user's own, of which the tailnet knows nothing. */
static bool is_funnels_own(const struct ts_engine *engine, const char *domain)
{
	char err[CERT_ERROR_CAP];

	return ts_cert_domain_looks_fine(domain) &&
	       has_funnel(engine, domain) &&
	       ts_cert_domain_check(domain, domains_of(engine), false, err);
}

int cert_name_check(const struct ts_engine *engine, const char *domain,
			char err[static CERT_ERROR_CAP])
{
	const struct ts_netmap *map = ts_node_netmap(engine->node);

	if (ts_cert_domain_looks_fine(domain) && !map->self) {
		snprintf(err, CERT_ERROR_CAP, "no netmap available");
		return -EACCES;
	}
	if (is_funnels_own(engine, domain))
		return 0;
	return ts_cert_domain_check(domain, domains_of(engine),
				    has_wildcards(map), err);
}

/* -- what is there -------------------------------------------------------- */

bool cert_name_is_fit(const struct cert_name *name, int64_t min_validity_s)
{
	int64_t left_s = name->info.not_after - (int64_t)time(NULL);

	return name->pair.key_pem && left_s > 0 && left_s >= min_validity_s;
}

static void keep_pair(struct cert_name *name, struct ts_cert_pair *pair)
{
	ts_cert_pair_deinit(&name->pair);
	name->pair = *pair;
	*pair = (struct ts_cert_pair){NULL, NULL};
	ts_cert_info(name->pair.chain_pem, &name->info);
	name->renew_at = 0;
}

bool cert_name_take(struct cert_name *name, struct ts_cert_pair *pair)
{
	if (cert_store_judge(name->engine, pair, name->domain, name->is_ours) !=
	    TS_CERT_FINE)
		return false;
	keep_pair(name, pair);
	return true;
}

/* From the store, when none is here. */
/* From the store, when none is here. Clients' handshakes lead here: what was
 * not fit a moment ago is not judged again for each. */
void cert_name_load(struct cert_name *name)
{
	struct ts_engine *engine = name->engine;
	uint64_t now_ms = ts_loop_now_ms(engine->loop);
	struct ts_cert_pair pair;
	int err;

	if (cert_name_is_fit(name, 0) || now_ms < name->look_ms ||
	    cert_share_is_on(engine, name->domain))
		return;
	err = cert_store_read(engine, name->domain, &pair);
	if (err == -ENOENT)
		return;
	name->look_ms = now_ms + LOOK_AGAIN_MS;
	if (err) {
		log_warn("cert: %s: cannot read what is stored: %s",
			 name->domain, ts_strerror(err));
		return;
	}
	if (!cert_name_take(name, &pair))
		log_info("cert: %s: what is stored is not fit any more",
			 name->domain);
	ts_cert_pair_deinit(&pair);
}

/* -- obtaining ------------------------------------------------------------ */

static void rest(struct cert_name *name, const struct cert_outcome *outcome)
{
	uint64_t now_ms = ts_loop_now_ms(name->engine->loop);
	uint64_t rest_ms = REST_FIRST_MS;

	for (unsigned i = 0; i < name->failures && rest_ms < REST_MAX_MS; i++)
		rest_ms *= 2;
	name->failures++;
	name->limited_until_ms = 0;
	if (outcome->is_limited) {
		rest_ms = REST_MAX_MS;
		if (outcome->retry_after_s > 0 &&
		    outcome->retry_after_s < REST_MAX_MS / 1000)
			rest_ms = (uint64_t)outcome->retry_after_s * 1000;
		if (outcome->retry_after_s > 0)
			name->limited_until_ms =
				now_ms +
				(uint64_t)outcome->retry_after_s * 1000;
	}
	if (rest_ms > REST_MAX_MS)
		rest_ms = REST_MAX_MS;
	name->rest_until_ms = now_ms + rest_ms;
	name->is_limited = outcome->is_limited;
	snprintf(name->error, sizeof(name->error), "%s", outcome->error);
	log_warn("cert: %s: %s: the CA is left in peace for %llu s",
		 name->domain, name->error,
		 (unsigned long long)rest_ms / 1000);
}

static void succeed(struct cert_name *name, struct ts_cert_pair *pair)
{
	bool is_shared = cert_share_is_on(name->engine, name->domain);
	int err = is_shared ? 0 : cert_store_write(name->engine, name->domain,
						   pair);

	if (err)
		log_error("cert: %s: cannot keep it, and the next start will "
			  "ask the CA again: %s", name->domain,
			  ts_strerror(err));
	keep_pair(name, pair);
	if (is_shared)
		cert_name_write_shared(name);
	name->is_ours = true;
	name->failures = 0;
	name->error[0] = '\0';
	name->is_limited = false;
	/* Whatever may be wrong with it, or the CA say about it, another one is
	 * not asked for soon. */
	name->rest_until_ms = ts_loop_now_ms(name->engine->loop) + REST_MAX_MS;
	log_info("cert: %s: obtained, valid for %lld hours", name->domain,
		 (long long)(name->info.not_after - time(NULL)) / 3600);
}

static enum ts_cert_challenge choose(const struct cert_name *name)
{
	const struct ts_engine *engine = name->engine;

	if (is_funnels_own(engine, name->domain) ||
	    (has_funnel(engine, name->domain) && cert_name_is_fit(name, 0)))
		return TS_CERT_TLS_ALPN01;
	return TS_CERT_DNS01;
}

static void start(struct cert_name *name, enum ts_cert_challenge challenge);

/* By the DNS, where that may help. */
static bool try_otherwise(struct cert_name *name,
			  const struct cert_outcome *outcome)
{
	if (name->challenge == TS_CERT_DNS01 || outcome->is_limited ||
	    is_funnels_own(name->engine, name->domain))
		return false;
	log_info("cert: %s: %s: now by dns-01", name->domain, outcome->error);
	start(name, TS_CERT_DNS01);
	return name->issue != NULL;
}

static void on_issued(void *ctx, struct cert_outcome *outcome)
{
	struct cert_name *name = ctx;
	struct ts_cert_counts *counts =
		certs_counts(name->engine, name->challenge);

	name->issue = NULL;
	if (!outcome->error) {
		counts->success++;
		succeed(name, &outcome->pair);
	} else {
		counts->failure++;
		if (try_otherwise(name, outcome))
			return;
		rest(name, outcome);
	}
	ts_cert_pair_deinit(&outcome->pair);
	name->issued(name);
}

static void start(struct cert_name *name, enum ts_cert_challenge challenge)
{
	const struct cert_issue_want want = {
		.domain = name->domain,
		.replaces = cert_name_is_fit(name, 0) &&
					    cert_name_is_of_account(name)
				    ? name->info.ari_id : NULL,
		.challenge = challenge,
	};
	struct cert_outcome none = {.error = NULL};
	char err[256];

	name->challenge = challenge;
	name->issue = cert_issue_start(name->engine, &want, on_issued, name,
				       err);
	if (name->issue) {
		certs_counts(name->engine, challenge)->start++;
		return;
	}
	none.error = err;
	rest(name, &none);
}

/* What is fit is served meanwhile. */
void cert_name_obtain(struct cert_name *name)
{
	if (cert_share_only_reads(name->engine)) {
		if (!cert_name_is_fit(name, 0))
			snprintf(name->error, sizeof(name->error),
				 "there is no certificate yet, and this "
				 "replica obtains none "
				 "(TS_CERT_SHARE_MODE=ro)");
		return;
	}
	if (name->issue ||
	    ts_loop_now_ms(name->engine->loop) < name->rest_until_ms)
		return;
	log_info("cert: %s: asking %s for %s", name->domain,
		 name->engine->config.acme_directory,
		 name->pair.key_pem ? "a new one" : "one");
	start(name, choose(name));
}

/* -- renewal -------------------------------------------------------------- */

static void renew_if_due(struct cert_name *name)
{
	if (name->renew_at && time(NULL) >= name->renew_at)
		cert_name_obtain(name);
}

/* A random moment of the window, so that not all come at once. Nothing that a
 * CA may say makes it later than the end. */
static void on_window(void *ctx, int64_t first, int64_t last)
{
	struct cert_name *name = ctx;
	int64_t at = ts_cert_renewal(&name->info);

	name->window = NULL;
	if (last > first && last - first <= INT32_MAX)
		at = first + ts_random_below((uint32_t)(last - first));
	if (at >= name->info.not_after)
		at = ts_cert_renewal(&name->info);
	name->renew_at = at > 0 ? at : 1;
	log_debug("cert: %s: renewal is due in %lld s", name->domain,
		  (long long)(name->renew_at - time(NULL)));
	renew_if_due(name);
}

void cert_name_look_after(struct cert_name *name)
{
	if (!cert_name_refresh_shared(name))
		cert_name_check_renewal(name);
}

void cert_name_check_renewal(struct cert_name *name)
{
	char err[CERT_ERROR_CAP];

	if (name->issue || name->window || !cert_name_is_fit(name, 0) ||
	    cert_name_check(name->engine, name->domain, err))
		return;
	if (name->renew_at)
		renew_if_due(name);
	else if (name->info.ari_id[0])
		name->window = cert_window_ask(name->engine,
					       name->info.ari_id, on_window,
					       name);
	else
		on_window(name, 0, 0);
}

/* -- answers -------------------------------------------------------------- */

/* A new one may be valid for less than was asked for: that is the CA's
 * business, and all there is. */
void cert_name_answer(const struct cert_name *name, int64_t min_validity_s,
		      struct cert_answer *out)
{
	uint64_t now_ms = ts_loop_now_ms(name->engine->loop);

	*out = (struct cert_answer){.is_limited = name->is_limited};
	if (cert_name_is_fit(name, name->error[0] ? min_validity_s : 0)) {
		out->pair = &name->pair;
		return;
	}
	out->error = name->error[0] ? name->error
				    : "there is no certificate";
	if (name->limited_until_ms > now_ms)
		out->retry_after_s = (int64_t)(name->limited_until_ms -
					       now_ms + 999) / 1000;
}

void cert_name_deinit(struct cert_name *name)
{
	cert_issue_cancel(name->issue);
	cert_window_cancel(name->window);
	cert_name_leave_shared(name);
	ts_cert_pair_deinit(&name->pair);
}
