/* SPDX-License-Identifier: BSD-3-Clause
 * control_targets.c - which ports of the control server to try, and when
 *
 * Plain HTTP first, for Noise needs no TLS around it; HTTPS half a second
 * later, for networks that break upgrades. An https URL with a port of its own
 * still tries port 80 first; an http URL of a private host never tries HTTPS.
 */
#include "core/control/control_targets.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/base/addr.h"
#include "core/model/json_fields.h"

enum { HTTP_PORT = 80, HTTPS_PORT = 443, HTTPS_DELAY_MS = 500 };

static int read_scheme(const char **text, bool *is_https)
{
	if (strncasecmp(*text, "https://", 8) == 0) {
		*is_https = true;
		*text += 8;
		return 0;
	}
	if (strncasecmp(*text, "http://", 7) == 0) {
		*is_https = false;
		*text += 7;
		return 0;
	}
	return -EBADMSG;
}

static int read_port(const char *text, uint16_t *port)
{
	int64_t value;

	*port = 0;
	if (*text == '\0')
		return 0;
	if (*text != ':' || ts_int_parse(text + 1, &value) || value < 1 ||
	    value > UINT16_MAX)
		return -EBADMSG;
	*port = (uint16_t)value;
	return 0;
}

static int copy_span(char *out, size_t cap, const char *text, size_t len)
{
	if (len >= cap)
		return -EMSGSIZE;
	snprintf(out, cap, "%.*s", (int)len, text);
	return 0;
}

/* "host:port" or "[v6]:port"; the text is out->authority. */
static int read_authority(struct ts_control_url *out)
{
	const char *text = out->authority, *end;
	int err;

	if (*text == '[') {
		text++;
		end = strchr(text, ']');
		if (!end)
			return -EBADMSG;
		err = copy_span(out->host, sizeof(out->host), text,
				(size_t)(end - text));
		end++;
	} else {
		end = text + strcspn(text, ":");
		err = copy_span(out->host, sizeof(out->host), text,
				(size_t)(end - text));
	}
	if (!err && out->host[0] == '\0')
		err = -EBADMSG;
	return err ? err : read_port(end, &out->port);
}

/* Nothing that could end a header line or a host name. */
static bool is_clean(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text <= ' ' || *text == 0x7f)
			return false;
	return true;
}

/* What stands between the authority and the trailing slashes. */
static int copy_path(struct ts_control_url *out, const char *path,
		     const char *end)
{
	if (path >= end)
		return 0;
	return copy_span(out->path, sizeof(out->path), path,
			 (size_t)(end - path));
}

int ts_control_url_parse(const char *text, struct ts_control_url *out)
{
	size_t len = strlen(text), authority_len;
	const char *rest = text;
	int err;

	memset(out, 0, sizeof(*out));
	while (len > 0 && text[len - 1] == '/')
		len--;
	err = is_clean(text) ? read_scheme(&rest, &out->is_https) : -EBADMSG;
	if (!err)
		err = copy_span(out->base, sizeof(out->base), text, len);
	if (err)
		return err;
	authority_len = strcspn(rest, "/?#");
	if (memchr(rest, '@', authority_len))
		return -EBADMSG;
	err = copy_span(out->authority, sizeof(out->authority), rest,
			authority_len);
	if (!err)
		err = copy_path(out, rest + authority_len, text + len);
	return err ? err : read_authority(out);
}

static bool is_private_host(const char *host)
{
	struct ts_ip ip;

	if (strcasecmp(host, "localhost") == 0)
		return true;
	return ts_ip_parse(host, &ip) == 0 &&
	       (ts_ip_is_private(&ip) || ts_ip_is_loopback(&ip));
}

static uint16_t http_port(const struct ts_control_url *url)
{
	return url->is_https || url->port == 0 ? HTTP_PORT : url->port;
}

/* 0: none */
static uint16_t https_port(const struct ts_control_url *url)
{
	if (url->is_https)
		return url->port ? url->port : HTTPS_PORT;
	return is_private_host(url->host) ? 0 : HTTPS_PORT;
}

size_t ts_control_targets(
	const struct ts_control_url *url, bool force_https,
	struct ts_control_target out[static TS_CONTROL_TARGETS_MAX])
{
	uint16_t tls_port = https_port(url);
	bool plain = !force_https || tls_port == 0;
	size_t count = 0;

	memset(out, 0, TS_CONTROL_TARGETS_MAX * sizeof(*out));
	if (plain)
		out[count++].port = http_port(url);
	if (tls_port) {
		out[count].tls = true;
		out[count].port = tls_port;
		out[count++].delay_ms = plain ? HTTPS_DELAY_MS : 0;
	}
	for (size_t i = 0; i < count; i++)
		snprintf(out[i].host, sizeof(out[i].host), "%s", url->host);
	return count;
}
