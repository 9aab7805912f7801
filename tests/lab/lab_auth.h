/* SPDX-License-Identifier: BSD-3-Clause
 * lab_auth.h - auth keys
 */
#ifndef TESTS_LAB_LAB_AUTH_H
#define TESTS_LAB_LAB_AUTH_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum { LAB_AUTH_KEY_CAP = 128, LAB_AUTH_USER_CAP = 128 };

#define LAB_DEFAULT_USER "lab@example.com"

struct lab_auth_key {
	struct lab_auth_key *next;
	char key[LAB_AUTH_KEY_CAP];
	char user[LAB_AUTH_USER_CAP];
	bool once, expired, ephemeral;
	bool unapproved; /* its nodes wait for the command 'authorize' */
	unsigned used;
	json_t *tags; /* array */
};

/* text: KEY[,reusable|once|expired|ephemeral|unapproved|tag:X|user=WHO]...
 * Adds to the list. 0, -EINVAL, -ENOMEM. */
int lab_auth_add(struct lab_auth_key **list, const char *text);
void lab_auth_free(struct lab_auth_key **list);
/* The key, or NULL with the sentence for the client in *error. */
struct lab_auth_key *lab_auth_check(struct lab_auth_key *list,
				    const char *text, const char **error);

#endif
