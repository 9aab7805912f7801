/* SPDX-License-Identifier: BSD-3-Clause
 * tka_link.c - links that ask a person to sign a node's key
 * Source: tka/deeplink.go
 *
 *	tailscale://sign-device/v1/?nk=&tp=&dn=&os=&em=&hm=
 *
 * hm is an HMAC over the other values, one behind the other; the authority's
 * ID is its key. Fields come first and the HMAC last, so the first thing that
 * is wrong is what is told.
 */
#include "core/tka/tka_link.h"

#include <errno.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/base/encode.h"
#include "core/base/form.h"
#include "core/base/wire.h"

#define LINK_SCHEME "tailscale"
#define LINK_COMMAND "sign-device"
#define LINK_VERSION "v1"

enum { SHOWN_MAX = 64, /* of what is wrong */
       MAC_LEN = crypto_auth_hmacsha256_BYTES };

/* A part of the URL. */
struct part {
	const char *text;
	size_t len;
};

struct parts {
	struct part scheme, host, path, query;
};

static bool is(const struct part *part, const char *text)
{
	return part->len == strlen(text) &&
	       memcmp(part->text, text, part->len) == 0;
}

/* Parts that are missing are empty. */
static void split(const char *url, struct parts *out)
{
	size_t len = strcspn(url, "#"), n = strcspn(url, ":/?#");

	*out = (struct parts){{url, 0}, {url, 0}, {url, 0}, {url, 0}};
	if (url[n] == ':') {
		out->scheme.len = n;
		url += n + 1;
		len -= n + 1;
	}
	if (len >= 2 && strncmp(url, "//", 2) == 0) {
		url += 2;
		len -= 2;
		out->host = (struct part){url, strcspn(url, "/?#")};
		url += out->host.len;
		len -= out->host.len;
	}
	out->path = (struct part){url, strcspn(url, "?#")};
	if (len > out->path.len)
		out->query = (struct part){url + out->path.len + 1,
					   len - out->path.len - 1};
}

static int shown(const struct part *part)
{
	return part->len < SHOWN_MAX ? (int)part->len : SHOWN_MAX;
}

static size_t count_slashes(const struct part *path)
{
	size_t n = 0;

	for (size_t i = 0; i < path->len; i++)
		n += path->text[i] == '/';
	return n;
}

static int check_place(const struct parts *p,
		       char error[static TKA_LINK_ERROR_CAP])
{
	struct part version = {p->path.text + 1, 0};

	if (p->scheme.len != strlen(LINK_SCHEME) ||
	    strncasecmp(p->scheme.text, LINK_SCHEME, p->scheme.len) != 0) {
		snprintf(error, TKA_LINK_ERROR_CAP,
			 "unhandled scheme %.*s, expected " LINK_SCHEME,
			 shown(&p->scheme), p->scheme.text);
		return -EBADMSG;
	}
	if (!is(&p->host, LINK_COMMAND)) {
		snprintf(error, TKA_LINK_ERROR_CAP,
			 "unhandled host %.*s, expected " LINK_COMMAND,
			 shown(&p->host), p->host.text);
		return -EBADMSG;
	}
	if (count_slashes(&p->path) != 2) {
		snprintf(error, TKA_LINK_ERROR_CAP,
			 "invalid path components number found");
		return -EBADMSG;
	}
	version.len = strcspn(version.text, "/");
	if (is(&version, LINK_VERSION))
		return 0;
	snprintf(error, TKA_LINK_ERROR_CAP,
		 "expected v1 deeplink version, found something else: %.*s",
		 shown(&version), version.text);
	return -EBADMSG;
}

/* what: the field's name in an error, as upstream has it. */
static int read_field(const struct parts *p, const char *field,
		      const char *what, char out[static TKA_LINK_FIELD_CAP],
		      char error[static TKA_LINK_ERROR_CAP])
{
	size_t len = 0;
	const char *value =
		ts_form_find(p->query.text, p->query.len, field, &len);

	if (value && len > 0 &&
	    ts_form_decode(value, len, out, TKA_LINK_FIELD_CAP))
		return 0;
	snprintf(error, TKA_LINK_ERROR_CAP, "missing %s (%s) query parameter",
		 field, what);
	return -EBADMSG;
}

static void make_mac(const struct ts_tka_link *link, uint64_t state_id,
		     uint8_t out[static MAC_LEN])
{
	const char *const texts[] = {link->node_key, link->key, link->device,
				     link->os, link->login};
	crypto_auth_hmacsha256_state state;
	uint8_t key[sizeof(state_id)];
	struct ts_writer w = ts_writer_init(key, sizeof(key));

	ts_write_le64(&w, state_id);
	crypto_auth_hmacsha256_init(&state, key, sizeof(key));
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		crypto_auth_hmacsha256_update(&state,
					      (const uint8_t *)texts[i],
					      strlen(texts[i]));
	crypto_auth_hmacsha256_final(&state, out);
}

static int check_mac(const struct ts_tka_link *link, uint64_t state_id,
		     const char *text, char error[static TKA_LINK_ERROR_CAP])
{
	uint8_t wanted[MAC_LEN], given[MAC_LEN];
	size_t len = strlen(text);

	if (len % 2 || strspn(text, "0123456789abcdefABCDEF") != len) {
		snprintf(error, TKA_LINK_ERROR_CAP,
			 "could not hex-decode hmac");
		return -EBADMSG;
	}
	make_mac(link, state_id, wanted);
	if (len == 2 * MAC_LEN &&
	    ts_hex_decode(text, len, given, MAC_LEN) == 0 &&
	    sodium_memcmp(wanted, given, MAC_LEN) == 0)
		return 0;
	snprintf(error, TKA_LINK_ERROR_CAP, "hmac authentication failed");
	return -EACCES;
}

int ts_tka_link_read(const char *url, uint64_t state_id,
		     struct ts_tka_link *out,
		     char error[static TKA_LINK_ERROR_CAP])
{
	char mac[TKA_LINK_FIELD_CAP];
	struct parts p;
	int err;

	memset(out, 0, sizeof(*out));
	split(url, &p);
	err = check_place(&p, error);
	if (!err)
		err = read_field(&p, "nk", "NodeKey", out->node_key, error);
	if (!err)
		err = read_field(&p, "tp", "TLPub", out->key, error);
	if (!err)
		err = read_field(&p, "dn", "DeviceName", out->device, error);
	/* Upstream takes a link without it. */
	if (!err && read_field(&p, "os", "OSName", out->os, error))
		out->os[0] = '\0';
	if (!err)
		err = read_field(&p, "em", "EmailAddress", out->login, error);
	if (!err)
		err = read_field(&p, "hm", "HMAC", mac, error);
	if (!err)
		err = check_mac(out, state_id, mac, error);
	return err;
}
