/* SPDX-License-Identifier: BSD-3-Clause
 * cert_domain.c - which names this node may have certificates for
 * Source: feature/acme/cert.go (validLookingCertDomain, resolveCertDomain),
 * feature/acme/certstore.go (certFile), client/local/cert.go (ExpandSNIName)
 */
#include "core/acme/cert_domain.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char *without_star(const char *name)
{
	return strncmp(name, "*.", 2) == 0 ? name + 2 : name;
}

bool ts_cert_domain_looks_fine(const char *name)
{
	const char *plain = without_star(name);
	size_t len = strlen(plain);

	return strlen(name) < TS_CERT_DOMAIN_CAP - 8 && len > 0 &&
	       plain[0] != '.' && strchr(plain, '.') && !strstr(plain, "..") &&
	       strspn(plain, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			     "abcdefghijklmnopqrstuvwxyz0123456789-_.") == len;
}

static bool has(const json_t *domains, const char *name)
{
	for (size_t i = 0; i < json_array_size(domains); i++) {
		const char *one =
			json_string_value(json_array_get(domains, i));

		if (one && strcmp(one, name) == 0)
			return true;
	}
	return false;
}

/* As Go prints a list of quoted strings. */
static void tell_choice(const char *name, const json_t *domains,
			char err[static TS_CERT_ERROR_CAP])
{
	size_t at = (size_t)snprintf(err, TS_CERT_ERROR_CAP,
				     "invalid domain \"%.250s\"; must be one "
				     "of [", name);

	for (size_t i = 0; i < json_array_size(domains); i++) {
		const char *one =
			json_string_value(json_array_get(domains, i));

		if (at < TS_CERT_ERROR_CAP)
			at += (size_t)snprintf(err + at, TS_CERT_ERROR_CAP - at,
					       "%s\"%.100s\"", i ? " " : "",
					       one ? one : "");
	}
	if (at < TS_CERT_ERROR_CAP)
		snprintf(err + at, TS_CERT_ERROR_CAP - at, "]");
}

int ts_cert_domain_check(const char *name, const json_t *domains,
			 bool wildcards, char err[static TS_CERT_ERROR_CAP])
{
	const char *plain = without_star(name);

	if (!ts_cert_domain_looks_fine(name))
		snprintf(err, TS_CERT_ERROR_CAP, "invalid domain");
	else if (json_array_size(domains) == 0)
		snprintf(err, TS_CERT_ERROR_CAP,
			 "your Tailscale account does not support getting TLS "
			 "certs");
	else if (plain != name && !wildcards)
		snprintf(err, TS_CERT_ERROR_CAP,
			 "wildcard certificates are not enabled for this node");
	else if (plain != name && !has(domains, plain))
		snprintf(err, TS_CERT_ERROR_CAP,
			 "invalid domain \"%.250s\"; wildcard certificates are "
			 "not enabled for this domain", name);
	else if (plain == name && !has(domains, name))
		tell_choice(name, domains, err);
	else
		return 0;
	return -EACCES;
}

const char *ts_cert_domain_expand(const char *label, const json_t *domains)
{
	size_t len = strlen(label);

	for (size_t i = 0; len && i < json_array_size(domains); i++) {
		const char *one =
			json_string_value(json_array_get(domains, i));

		if (one && strncasecmp(one, label, len) == 0 &&
		    one[len] == '.' && one[len + 1])
			return one;
	}
	return NULL;
}

void ts_cert_domain_file(const char *name, const char *suffix, char *out,
			 size_t cap)
{
	const char *plain = without_star(name);

	snprintf(out, cap, "%s%s%s", plain != name ? "wildcard_." : "", plain,
		 suffix);
}
