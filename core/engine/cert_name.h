/* SPDX-License-Identifier: BSD-3-Clause
 * cert_name.h - what is known of one name's certificate
 */
#ifndef CORE_ENGINE_CERT_NAME_H
#define CORE_ENGINE_CERT_NAME_H

#include <stdbool.h>

#include "core/acme/cert_domain.h"
#include "core/acme/cert_pair.h"
#include "core/engine/certs.h"
#include "core/host/host_list.h"

struct cert_issue;
struct cert_window;

enum { CERT_ERROR_CAP = TS_CERT_ERROR_CAP };

struct cert_name {
	struct ts_link link; /* in certs->names */
	struct ts_engine *engine;
	char domain[TS_CERT_DOMAIN_CAP];
	struct ts_cert_pair pair; /* checked; NULLs: none is fit */
	struct ts_cert_info info;
	bool is_ours;	  /* we have got it from the CA */
	uint64_t look_ms; /* not before that in the store */
	int64_t renew_at; /* 0: to be found out */
	struct cert_window *window;
	struct cert_issue *issue;
	enum ts_cert_challenge challenge; /* of the issue */
	/* cert_replica.c */
	struct cert_share *reading, *writing;
	bool was_read;
	uint64_t read_ms;
	int64_t wanted_s; /* whoever waits for the answer wants so much */
	uint8_t account[TS_SHA256_LEN]; /* of who obtained the pair */
	bool has_account;
	void (*issued)(struct cert_name *name); /* its waits can be answered */
	struct ts_link waits; /* certs.c: until the issue is over */
	size_t wait_count;    /* these, and those that are being answered */
	unsigned failures;
	uint64_t rest_until_ms;	    /* the CA is left in peace */
	char error[CERT_ERROR_CAP]; /* of the last issue */
	bool is_limited;
	uint64_t limited_until_ms; /* 0: unknown */
};

/* -- cert_replica.c: where replicas share certificates -------------------- */
/* Looks whether there is one that is valid for so long, unless that was done a
 * moment ago. true: the answer is awaited, and goes on by itself. */
bool cert_name_read_shared(struct cert_name *name, int64_t min_validity_s);
/* The hourly look. true: as above, or nothing is to be done here. */
bool cert_name_refresh_shared(struct cert_name *name);
/* A new one, for the others. */
void cert_name_write_shared(struct cert_name *name);
/* Did this account obtain what is to be renewed? As far as that is known. */
bool cert_name_is_of_account(const struct cert_name *name);
void cert_name_leave_shared(struct cert_name *name);

/* -- cert_name.c ---------------------------------------------------------- */
/* pair is taken when it is fit. */
bool cert_name_take(struct cert_name *name, struct ts_cert_pair *pair);
/* Of what is here, without a look elsewhere. */
void cert_name_check_renewal(struct cert_name *name);
/* certs.c; NULL: nobody has asked for it. */
const struct cert_name *certs_find(const struct ts_engine *engine,
				   const char *domain);
void cert_name_deinit(struct cert_name *name);
/* May this node have one? 0, or -EACCES with the reason in err. */
int cert_name_check(const struct ts_engine *engine, const char *domain,
		    char err[static CERT_ERROR_CAP]);
/* From the store, when nothing fit is here. */
void cert_name_load(struct cert_name *name);
/* Valid for that long. */
bool cert_name_is_fit(const struct cert_name *name, int64_t min_validity_s);
/* Asks the CA, unless it is being asked, or left in peace. */
void cert_name_obtain(struct cert_name *name);
/* Finds out whether it is time for another one, and asks for it then. */
void cert_name_look_after(struct cert_name *name);
/* What there is to say to whoever has waited. */
void cert_name_answer(const struct cert_name *name, int64_t min_validity_s,
		      struct cert_answer *out);

#endif
