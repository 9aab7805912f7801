/* SPDX-License-Identifier: BSD-3-Clause
 * acme_json.h - what an ACME server answers, checked
 *
 * Everything in it is a stranger's: URLs are taken with the directory's scheme
 * only, texts are bounded, and what goes into a message for a person has no
 * control characters. All readers: 0, -EBADMSG (not what RFC 8555 says),
 * -ENOMEM; what they fill is empty then.
 */
#ifndef CORE_ACME_ACME_JSON_H
#define CORE_ACME_ACME_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	TS_ACME_URL_MAX = 1024,
	TS_ACME_TOKEN_MAX = 256, /* of a challenge, a nonce */
	TS_ACME_AUTHZ_MAX = 4,	 /* of an order; we ask for two at most */
	TS_ACME_WORDS_CAP = 256,
	TS_ACME_ANSWER_MAX = 64 * 1024,
	TS_ACME_CHAIN_MAX = 128 * 1024,
};

struct ts_acme_directory {
	char *new_nonce, *new_account, *new_order;
	char *renewal_info; /* NULL: the server has no ARI */
};
int ts_acme_read_directory(const char *body, size_t len, const char *base,
			   struct ts_acme_directory *out);
void ts_acme_directory_deinit(struct ts_acme_directory *d);

enum ts_acme_status {
	TS_ACME_PENDING,
	TS_ACME_READY,
	TS_ACME_PROCESSING,
	TS_ACME_VALID,
	TS_ACME_INVALID, /* or whatever else is the end of it */
};

struct ts_acme_order_answer {
	enum ts_acme_status status;
	char *authz[TS_ACME_AUTHZ_MAX];
	size_t authz_count;
	char *finalize, *certificate; /* certificate: NULL before it is valid */
	char words[TS_ACME_WORDS_CAP]; /* of its error; "": none */
};
int ts_acme_read_order(const char *body, size_t len, const char *base,
		       struct ts_acme_order_answer *out);
void ts_acme_order_answer_deinit(struct ts_acme_order_answer *o);

struct ts_acme_authz {
	enum ts_acme_status status;
	char *domain;		 /* without "*." */
	char *url, *token;	 /* of the challenge; NULL: there is none */
	bool is_accepted;	 /* the challenge is being looked at, or over */
	char words[TS_ACME_WORDS_CAP]; /* of the challenge's error */
};
/* challenge: "dns-01", "tls-alpn-01" */
int ts_acme_read_authz(const char *body, size_t len, const char *base,
		       const char *challenge, struct ts_acme_authz *out);
void ts_acme_authz_deinit(struct ts_acme_authz *a);

/* RFC 7807 */
struct ts_acme_problem {
	bool is_bad_nonce, is_rate_limit;
	bool is_replaced; /* the certificate to replace was replaced already */
	char words[TS_ACME_WORDS_CAP];
};
/* Never fails: what is no problem document is told as far as it goes. */
void ts_acme_read_problem(int status, const char *body, size_t len,
			  struct ts_acme_problem *out);
/* "valid", and nothing else */
bool ts_acme_account_is_valid(const char *body, size_t len);
/* RFC 9773: when to renew, first to last (seconds since 1970). */
int ts_acme_read_window(const char *body, size_t len, int64_t *first,
			int64_t *last);
/* A URL of the scheme that base has, without anything that is none of a
 * URL's. */
bool ts_acme_url_is_fine(const char *url, const char *base);
/* Of base64url's letters, and not too long. */
bool ts_acme_token_is_fine(const char *token);

#endif
