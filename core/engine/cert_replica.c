/* SPDX-License-Identifier: BSD-3-Clause
 * cert_replica.c - one name's certificate, where replicas share it
 * Source: ipn/store/kubestore/store_kube.go, feature/acme/cert.go
 *
 * The Secret is read before anything else is done: when the certificate is
 * wanted and not here, and every hour, so that a renewed one is seen. The
 * replica that writes obtains it, or renews it, when the Secret has none that is
 * fit; and when the Secret was made anew, or a write failed, it puts there what
 * it has. Another account's certificate is renewed without naming it to the CA,
 * which would refuse that.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/base/log.h"
#include "core/engine/cert_name.h"
#include "core/engine/cert_share.h"
#include "core/engine/cert_store.h"
#include "core/engine/engine_internal.h"

enum {
	WANTED_AGAIN_MS = 3000,
	LOOK_AGAIN_MS = 50 * 60 * 1000, /* the look is hourly */
};

/* -- writing -------------------------------------------------------------- */

static void on_written(void *ctx, const struct ts_kube_cert *cert,
		       const char *error)
{
	struct cert_name *name = ctx;

	(void)cert;
	name->writing = NULL;
	if (error)
		log_error("cert: %s: the other replicas do not get it, and it "
			  "is written again within the hour: %s",
			  name->domain, error);
}

void cert_name_write_shared(struct cert_name *name)
{
	struct ts_kube_cert cert = {
		.key_pem = name->pair.key_pem,
		.chain_pem = name->pair.chain_pem,
	};

	cert.has_account = cert_store_account_hash(name->engine, cert.account);
	name->has_account = cert.has_account;
	memcpy(name->account, cert.account, sizeof(name->account));
	cert_share_cancel(name->writing);
	name->writing = cert_share_write(name->engine, name->domain, &cert,
					 on_written, name);
}

bool cert_name_is_of_account(const struct cert_name *name)
{
	uint8_t own[TS_SHA256_LEN];

	return !name->has_account ||
	       (cert_store_account_hash(name->engine, own) &&
		memcmp(own, name->account, sizeof(own)) == 0);
}

/* -- reading -------------------------------------------------------------- */

/* false: what is there is not fit. */
static bool take(struct cert_name *name, const struct ts_kube_cert *cert)
{
	struct ts_cert_pair pair = {NULL, NULL};
	bool is_fit;

	if (name->pair.chain_pem &&
	    strcmp(name->pair.chain_pem, cert->chain_pem) == 0)
		return true;
	pair.key_pem = strdup(cert->key_pem);
	pair.chain_pem = strdup(cert->chain_pem);
	is_fit = pair.key_pem && pair.chain_pem && cert_name_take(name, &pair);
	ts_cert_pair_deinit(&pair);
	if (!is_fit)
		return false;
	memcpy(name->account, cert->account, sizeof(name->account));
	name->has_account = cert->has_account;
	name->is_ours = false;
	log_info("cert: %s: another replica has put one into its Secret",
		 name->domain);
	return true;
}

static void go_on(struct cert_name *name)
{
	if (!cert_name_is_fit(name, name->wanted_s))
		cert_name_obtain(name);
	else if (!cert_share_only_reads(name->engine))
		cert_name_check_renewal(name);
	name->wanted_s = 0;
	if (!name->issue)
		name->issued(name);
}

static void on_read(void *ctx, const struct ts_kube_cert *cert,
		    const char *error)
{
	struct cert_name *name = ctx;
	bool is_there = false;

	name->reading = NULL;
	if (error)
		log_warn("cert: %s: its Secret: %s", name->domain, error);
	if (cert)
		is_there = take(name, cert);
	if (is_there)
		name->error[0] = '\0';
	else if (!error && name->is_ours && cert_name_is_fit(name, 0) &&
		 !name->writing)
		cert_name_write_shared(name);
	if (error && !cert_name_is_fit(name, 0)) {
		/* There may be one: nobody asks a CA for nothing. */
		snprintf(name->error, sizeof(name->error),
			 "cannot read the certificate's Secret: %s", error);
		name->issued(name);
		return;
	}
	go_on(name);
}

static bool begin(struct cert_name *name, uint64_t again_ms)
{
	uint64_t now_ms = ts_loop_now_ms(name->engine->loop);

	if (name->reading)
		return true;
	if (name->was_read && now_ms < name->read_ms + again_ms)
		return false;
	name->was_read = true;
	name->read_ms = now_ms;
	name->reading = cert_share_read(name->engine, name->domain, on_read,
					name);
	return name->reading != NULL;
}

bool cert_name_read_shared(struct cert_name *name, int64_t min_validity_s)
{
	if (!cert_share_is_on(name->engine, name->domain) || name->issue)
		return false;
	if (min_validity_s > name->wanted_s)
		name->wanted_s = min_validity_s;
	return begin(name, WANTED_AGAIN_MS);
}

bool cert_name_refresh_shared(struct cert_name *name)
{
	if (!cert_share_is_on(name->engine, name->domain) || name->issue)
		return false;
	return begin(name, LOOK_AGAIN_MS) ||
	       cert_share_only_reads(name->engine);
}

void cert_name_leave_shared(struct cert_name *name)
{
	cert_share_cancel(name->reading);
	cert_share_cancel(name->writing);
}
