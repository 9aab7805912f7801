/* SPDX-License-Identifier: BSD-3-Clause
 * lab_options.h - the command line of tsnet-lab
 */
#ifndef TESTS_LAB_LAB_OPTIONS_H
#define TESTS_LAB_LAB_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/addr.h"

enum { LAB_AUTH_KEYS_MAX = 64, LAB_REGIONS_MAX = 8 };

struct lab_options {
	struct ts_addr listen, tls_listen, derp_listen, stun_listen;
	bool has_tls_listen, no_derp_tls, derp_fast_start, derp_verify;
	bool derp_pin, no_stun, interactive, exit_with_stdin;
	const char *auth_keys[LAB_AUTH_KEYS_MAX]; /* KEY[,attribute]... */
	size_t auth_key_count;
	const char *domain; /* without dots at the ends */
	unsigned peers;	    /* synthetic ones */
	unsigned regions;   /* DERP servers, 1..LAB_REGIONS_MAX */
	const char *command_socket, *ready_file, *cert_out;
	const char *tls_cert, *tls_key;
	uint64_t ephemeral_timeout_ms;
};

/* 0; -ECANCELED after --help; -EINVAL, told on stderr. */
int lab_options_parse(int argc, char **argv, struct lab_options *out);

#endif
