/* SPDX-License-Identifier: BSD-3-Clause
 * proxy_head.c - heads of messages that a proxy handler passes on
 *
 * Bodies are framed anew: a length goes on as it came, chunks are made again
 * from what was in them. So nothing that the client wrote of framing reaches
 * the backend, and nothing the other way.
 */
#include "core/serve/proxy_head.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/http_reason.h"

/* Of one connection, not of the message. */
static const char *const hop_fields[] = {
	"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate",
	"Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
	"Content-Length",
};
/* What only we may say. */
static const char *const our_fields[] = {
	"Host", "Expect", "Forwarded", "X-Forwarded-For", "X-Forwarded-Host",
	"X-Forwarded-Proto", "Tailscale-User-Login", "Tailscale-User-Name",
	"Tailscale-User-Profile-Pic", "Tailscale-Funnel-Request",
	"Tailscale-Headers-Info", "Tailscale-App-Capabilities",
};

static bool is_in(const struct ts_http1_field *f, const char *const *names,
		  size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (f->name_len == strlen(names[i]) &&
		    ts_http1_begins_alike(f, names[i]))
			return true;
	return false;
}

static bool is_hop_field(const struct ts_http1_head *head,
			 const struct ts_http1_field *f)
{
	char name[64];

	if (is_in(f, hop_fields, ARRAY_LEN(hop_fields)))
		return true;
	if (f->name_len >= sizeof(name))
		return false;
	memcpy(name, f->name, f->name_len);
	name[f->name_len] = '\0';
	return ts_http_lists(head, "Connection", name);
}

/* -- writing -------------------------------------------------------------- */

struct out {
	struct ts_byte_queue *queue;
	int err;
};

static void put(struct out *o, const char *data, size_t len)
{
	if (!o->err)
		o->err = ts_byte_queue_push(o->queue, data, len);
}

static void put_text(struct out *o, const char *text)
{
	put(o, text, strlen(text));
}

/* Line ends in a value would be another field: they end it. */
static void put_field(struct out *o, const char *name, const char *value)
{
	if (!value)
		return;
	put_text(o, name);
	put(o, ": ", 2);
	put(o, value, strcspn(value, "\r\n"));
	put(o, "\r\n", 2);
}

static void copy_field(struct out *o, const struct ts_http1_field *f)
{
	put(o, f->name, f->name_len);
	put(o, ": ", 2);
	put(o, f->value, f->value_len);
	put(o, "\r\n", 2);
}

static void put_encoded(struct out *o, const char *name, const char *value)
{
	char *encoded = ts_serve_encode_value(value ? value : "");

	if (!encoded && !o->err)
		o->err = -ENOMEM;
	put_field(o, name, encoded);
	free(encoded);
}

/* Which trailers will come; only after chunks can they. */
static void put_announced(struct out *o, const struct ts_http1_head *head)
{
	for (size_t i = 0; i < head->field_count; i++)
		if (ts_http1_is_named(&head->fields[i], "Trailer"))
			copy_field(o, &head->fields[i]);
}

static void put_framing(struct out *o, const struct ts_http1_head *head,
			const struct ts_http_body *body, bool is_chunked)
{
	char text[24];

	if (is_chunked) {
		put_field(o, "Transfer-Encoding", "chunked");
		put_announced(o, head);
	} else if (body->kind == TS_BODY_LENGTH) {
		snprintf(text, sizeof(text), "%llu",
			 (unsigned long long)body->left);
		put_field(o, "Content-Length", text);
	}
}

/* What it is to be upgraded to. */
static void put_upgrade(struct out *o, const struct ts_http1_head *head)
{
	const struct ts_http1_field *f = ts_http1_find(head, "Upgrade");

	if (f)
		copy_field(o, f);
	put_field(o, "Connection", "Upgrade");
}

/* -- the request ---------------------------------------------------------- */

static void put_caller(struct out *o, const struct ts_serve_request *req,
		       const struct ts_serve_caller *caller)
{
	put_field(o, "X-Forwarded-For", caller->ip);
	put_field(o, "X-Forwarded-Host", req->host);
	if (caller->is_tls)
		put_field(o, "X-Forwarded-Proto", "https");
	if (caller->is_funnel) {
		put_field(o, "Tailscale-Funnel-Request", "?1");
		return;
	}
	if (caller->has_user) {
		put_encoded(o, "Tailscale-User-Login", caller->login);
		put_encoded(o, "Tailscale-User-Name", caller->name);
		put_field(o, "Tailscale-User-Profile-Pic",
			  caller->picture ? caller->picture : "");
		put_field(o, "Tailscale-Headers-Info",
			  "https://tailscale.com/s/serve-headers");
	}
	if (caller->app_caps)
		put_encoded(o, "Tailscale-App-Capabilities", caller->app_caps);
}

int ts_serve_write_request(struct ts_byte_queue *out,
			   const struct ts_serve_request *req,
			   const struct ts_serve_target *target,
			   const char *path,
			   const struct ts_serve_caller *caller)
{
	const struct ts_http1_head *head = &req->head;
	struct out o = {.queue = out};

	put(&o, head->method, head->method_len);
	put(&o, " ", 1);
	put_text(&o, path);
	put_text(&o, " HTTP/1.1\r\n");
	put_field(&o, "Host", target->scheme == TS_SERVE_UNIX ? "localhost"
							      : req->host);
	for (size_t i = 0; i < head->field_count; i++) {
		const struct ts_http1_field *f = &head->fields[i];

		if (!is_hop_field(head, f) &&
		    !is_in(f, our_fields, ARRAY_LEN(our_fields)))
			copy_field(&o, f);
	}
	put_caller(&o, req, caller);
	put_framing(&o, head, &req->body,
		    req->body.kind == TS_BODY_CHUNKED);
	if (ts_http_lists(head, "Te", "trailers"))
		put_field(&o, "Te", "trailers");
	if (req->is_upgrade)
		put_upgrade(&o, head);
	put(&o, "\r\n", 2);
	return o.err;
}

/* -- the answer ----------------------------------------------------------- */

int ts_serve_write_answer(struct ts_byte_queue *out,
			  const struct ts_serve_answer *answer)
{
	const struct ts_http1_head *head = answer->head;
	struct out o = {.queue = out};
	char line[32];

	snprintf(line, sizeof(line), "HTTP/1.1 %03d ", head->status);
	put_text(&o, line);
	put_text(&o, ts_http_reason(head->status));
	put(&o, "\r\n", 2);
	for (size_t i = 0; i < head->field_count; i++) {
		const struct ts_http1_field *f = &head->fields[i];

		if (!is_hop_field(head, f))
			copy_field(&o, f);
	}
	if (head->status >= 200) {
		/* Of a HEAD, or a 304: the length that the body would have. */
		const struct ts_http1_field *f =
			ts_http1_find(head, "Content-Length");

		if (answer->body->kind == TS_BODY_NONE && f &&
		    head->status != 204)
			copy_field(&o, f);
		put_framing(&o, head, answer->body, answer->is_chunked);
	}
	if (answer->is_upgrade)
		put_upgrade(&o, head);
	else if (!answer->keeps_alive)
		put_field(&o, "Connection", "close");
	put(&o, "\r\n", 2);
	return o.err;
}

/* -- values --------------------------------------------------------------- */

static bool is_plain(const char *text)
{
	for (; *text; text++)
		if ((*text < ' ' || *text > '~') && *text != '\t')
			return false;
	return true;
}

/* The bytes of the character at text; 0: it is not UTF-8. */
static size_t rune_len(const unsigned char *text)
{
	static const struct {
		unsigned char first, last;
		size_t len;
		unsigned char second_min, second_max;
	} forms[] = {
		{0x01, 0x7f, 1, 0, 0},	     {0xc2, 0xdf, 2, 0x80, 0xbf},
		{0xe0, 0xe0, 3, 0xa0, 0xbf}, {0xe1, 0xec, 3, 0x80, 0xbf},
		{0xed, 0xed, 3, 0x80, 0x9f}, {0xee, 0xef, 3, 0x80, 0xbf},
		{0xf0, 0xf0, 4, 0x90, 0xbf}, {0xf1, 0xf3, 4, 0x80, 0xbf},
		{0xf4, 0xf4, 4, 0x80, 0x8f},
	};

	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		if (*text < forms[i].first || *text > forms[i].last)
			continue;
		if (forms[i].len > 1 && (text[1] < forms[i].second_min ||
					 text[1] > forms[i].second_max))
			return 0;
		for (size_t k = 2; k < forms[i].len; k++)
			if ((text[k] & 0xc0) != 0x80)
				return 0;
		return forms[i].len;
	}
	return 0;
}

static bool is_utf8(const char *text)
{
	const unsigned char *at = (const unsigned char *)text;

	while (*at) {
		size_t len = rune_len(at);

		if (len == 0)
			return false;
		at += len;
	}
	return true;
}

#define WORD_BEGIN "=?utf-8?q?"
#define WORD_END "?="
/* 75 with both. */
enum { WORD_MAX = 63 };

static bool stays(unsigned char c)
{
	return c >= ' ' && c <= '~' && c != '=' && c != '?' && c != '_';
}

static size_t write_rune(char *out, const unsigned char *rune, size_t len)
{
	size_t n = 0;

	if (stays(*rune)) {
		*out = *rune == ' ' ? '_' : (char)*rune;
		return 1;
	}
	for (size_t i = 0; i < len; i++)
		n += (size_t)sprintf(out + n, "=%02X", rune[i]);
	return n;
}

static char *encode(const char *text)
{
	const unsigned char *at = (const unsigned char *)text;
	/* Each character takes 12 bytes at most, each word 13 more and holds
	 * five characters at least. */
	char *out = malloc(strlen(text) * 12 + strlen(text) * 3 + 64);
	size_t n, used = 0;

	if (!out)
		return NULL;
	n = (size_t)sprintf(out, WORD_BEGIN);
	while (*at) {
		size_t len = rune_len(at), need = stays(*at) ? 1 : 3 * len;

		if (used + need > WORD_MAX) {
			n += (size_t)sprintf(out + n, WORD_END " " WORD_BEGIN);
			used = 0;
		}
		n += write_rune(out + n, at, len);
		used += need;
		at += len;
	}
	sprintf(out + n, WORD_END);
	return out;
}

char *ts_serve_encode_value(const char *text)
{
	if (!is_utf8(text))
		return strdup("");
	return is_plain(text) ? strdup(text) : encode(text);
}
