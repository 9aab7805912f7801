/* SPDX-License-Identifier: BSD-3-Clause
 * cert_store.c - where certificates and the ACME account's key are kept
 * Source: feature/acme/certstore.go, ipn/store/kubestore/store_kube.go
 *
 * The key is written before its certificate: whoever finds a certificate finds
 * its key. The state directory's lock is ours, so nobody else writes here.
 */
#include "core/engine/cert_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/acme/acme_json.h"
#include "core/acme/acme_order.h"
#include "core/acme/cert_domain.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/crypto/secret.h"
#include "core/engine/engine_internal.h"
#include "core/io/disk.h"
#include "core/io/link_cert.h"

#define ACCOUNT_NAME "acme-account.key.pem"
#define CERTS_DIR "certs"

enum {
	KEY_MAX = 16 * 1024,
	DIR_MODE = 0700,
	SECRET_MODE = 0600,
	PUBLIC_MODE = 0644,
	NAME_CAP = TS_CERT_DOMAIN_CAP + 16,
};

static bool has_dir(const struct ts_engine *engine)
{
	return engine->config.state_dir && !engine->config.state_in_memory &&
	       !engine->config.kube_secret;
}

static char *path_of(const struct ts_engine *engine, const char *name)
{
	char *path = NULL;

	if (asprintf(&path, "%s/" CERTS_DIR "%s%s", engine->config.state_dir,
		     *name ? "/" : "", name) < 0)
		return NULL;
	return path;
}

/* -- one text ------------------------------------------------------------- */

static int read_entry(const struct ts_engine *engine, const char *name,
		      char **out)
{
	size_t len;
	const uint8_t *data = ts_state_get(engine->store.state, name, &len);

	if (!data)
		return -ENOENT;
	*out = strndup((const char *)data, len);
	return *out ? 0 : -ENOMEM;
}

static int read_file(const struct ts_engine *engine, const char *name,
		     size_t max, char **out)
{
	char *path = path_of(engine, name);
	uint8_t *data = NULL;
	size_t len;
	int err = path ? ts_disk_read(path, max, &data, &len) : -ENOMEM;

	free(path);
	if (!err)
		*out = (char *)data;
	return err;
}

static int read_text(struct ts_engine *engine, const char *name, size_t max,
		     char **out)
{
	*out = NULL;
	return has_dir(engine) ? read_file(engine, name, max, out)
			       : read_entry(engine, name, out);
}

static int write_file(const struct ts_engine *engine, const char *name,
		      const char *text, mode_t mode)
{
	char *dir = path_of(engine, ""), *path = path_of(engine, name);
	int err = dir && path ? ts_disk_make_dirs(dir, DIR_MODE) : -ENOMEM;

	if (!err)
		err = ts_disk_write(path, text, strlen(text), mode);
	free(dir);
	free(path);
	return err;
}

static int write_text(struct ts_engine *engine, const char *name,
		      const char *text, mode_t mode)
{
	int err;

	if (has_dir(engine))
		return write_file(engine, name, text, mode);
	err = ts_state_set(engine->store.state, name, text, strlen(text));
	if (err < 0)
		return err;
	state_store_save(engine->store.kept);
	return 0;
}

/* -- pairs ---------------------------------------------------------------- */

/* Files have another name for "*." than entries. */
static void name_of(const struct ts_engine *engine, const char *domain,
		    const char *suffix, char out[static NAME_CAP])
{
	if (has_dir(engine))
		ts_cert_domain_file(domain, suffix, out, NAME_CAP);
	else
		snprintf(out, NAME_CAP, "%.*s%s", TS_CERT_DOMAIN_CAP, domain,
			 suffix);
}

int cert_store_read(struct ts_engine *engine, const char *domain,
		    struct ts_cert_pair *out)
{
	char name[NAME_CAP];
	int err;

	*out = (struct ts_cert_pair){NULL, NULL};
	name_of(engine, domain, ".crt", name);
	err = read_text(engine, name, TS_ACME_CHAIN_MAX, &out->chain_pem);
	name_of(engine, domain, ".key", name);
	if (!err)
		err = read_text(engine, name, KEY_MAX, &out->key_pem);
	if (err)
		ts_cert_pair_deinit(out);
	return err;
}

bool cert_store_has(struct ts_engine *engine, const char *domain)
{
	struct ts_cert_pair pair;

	if (cert_store_read(engine, domain, &pair))
		return false;
	ts_cert_pair_deinit(&pair);
	return true;
}

int cert_store_write(struct ts_engine *engine, const char *domain,
		     const struct ts_cert_pair *pair)
{
	char name[NAME_CAP];
	int err;

	name_of(engine, domain, ".key", name);
	err = write_text(engine, name, pair->key_pem, SECRET_MODE);
	name_of(engine, domain, ".crt", name);
	if (!err)
		err = write_text(engine, name, pair->chain_pem, PUBLIC_MODE);
	return err;
}

/* -- is it fit ------------------------------------------------------------ */

static bool has_own_directory(const struct ts_engine *engine)
{
	return strcmp(engine->config.acme_directory, TS_ACME_LETS_ENCRYPT) != 0;
}

/* Its chain is looked for only where that may matter: reading all roots takes
 * its time. */
enum ts_cert_verdict cert_store_judge(const struct ts_engine *engine,
				      const struct ts_cert_pair *pair,
				      const char *domain, bool is_ours)
{
	enum ts_cert_verdict verdict =
		ts_cert_check(pair, domain, NULL, time(NULL));
	SSL_CTX *ctx;

	if (verdict != TS_CERT_FINE || is_ours || has_own_directory(engine) ||
	    ts_cert_missing_roots_hint()[0])
		return verdict;
	ctx = SSL_CTX_new(TLS_client_method());
	if (!ctx)
		return TS_CERT_FINE;
	ts_cert_load_roots(ctx);
	verdict = ts_cert_check(pair, domain, SSL_CTX_get_cert_store(ctx),
				time(NULL));
	SSL_CTX_free(ctx);
	return verdict;
}

/* -- the account ---------------------------------------------------------- */

static int make_account(struct ts_engine *engine, struct ts_acme_key **out,
			char err[static 256])
{
	struct ts_acme_key *key = ts_acme_key_new();
	char *text = key ? ts_acme_key_write(key) : NULL;
	int code = text ? write_text(engine, ACCOUNT_NAME, text, SECRET_MODE)
			: -ENOMEM;

	ts_wipe_free_text(text);
	if (!code) {
		*out = key;
		return 0;
	}
	ts_acme_key_free(key);
	snprintf(err, 256, "cannot keep the key of a new ACME account (%s): %s",
		 ACCOUNT_NAME, ts_strerror(code));
	return code;
}

int cert_store_account(struct ts_engine *engine, struct ts_acme_key **out,
		       char err[static 256])
{
	char *text;
	int code = read_text(engine, ACCOUNT_NAME, KEY_MAX, &text);

	if (code == -ENOENT)
		return make_account(engine, out, err);
	if (!code)
		code = ts_acme_key_read(text, strlen(text), out);
	ts_wipe_free_text(text);
	if (code)
		snprintf(err, 256, "the ACME account's key (%s): %s",
			 ACCOUNT_NAME,
			 code == -EBADMSG  ? "is no key"
			 : code == -EPROTO ? "is no ECDSA P-256 key"
					   : ts_strerror(code));
	return code;
}

bool cert_store_account_hash(struct ts_engine *engine,
			     uint8_t out[static TS_SHA256_LEN])
{
	char *text;
	bool ok = read_text(engine, ACCOUNT_NAME, KEY_MAX, &text) == 0 &&
		  ts_sha256(text, strlen(text), out) == 0;

	ts_wipe_free_text(text);
	return ok;
}
