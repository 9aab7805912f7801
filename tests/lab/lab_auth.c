/* SPDX-License-Identifier: BSD-3-Clause
 * lab_auth.c - auth keys
 */
#include "tests/lab/lab_auth.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int take_attribute(struct lab_auth_key *key, const char *text)
{
	if (!strcmp(text, "reusable"))
		key->once = false;
	else if (!strcmp(text, "once"))
		key->once = true;
	else if (!strcmp(text, "expired"))
		key->expired = true;
	else if (!strcmp(text, "ephemeral"))
		key->ephemeral = true;
	else if (!strcmp(text, "unapproved"))
		key->unapproved = true;
	else if (!strncmp(text, "tag:", 4))
		return json_array_append_new(key->tags, json_string(text))
			       ? -EINVAL
			       : 0;
	else if (!strncmp(text, "user=", 5))
		snprintf(key->user, sizeof(key->user), "%s", text + 5);
	else
		return -EINVAL;
	return 0;
}

static void key_free(struct lab_auth_key *key)
{
	json_decref(key->tags);
	free(key);
}

static int parse(struct lab_auth_key *key, char *text)
{
	char *save = NULL;
	const char *word = strtok_r(text, ",", &save);
	int err = 0;

	if (!word || strlen(word) >= sizeof(key->key))
		return -EINVAL;
	strcpy(key->key, word);
	while (!err && (word = strtok_r(NULL, ",", &save)))
		err = take_attribute(key, word);
	return err;
}

int lab_auth_add(struct lab_auth_key **list, const char *text)
{
	struct lab_auth_key *key = calloc(1, sizeof(*key));
	char *copy = strdup(text);
	int err = -ENOMEM;

	if (key && copy) {
		strcpy(key->user, LAB_DEFAULT_USER);
		key->tags = json_array();
		err = key->tags ? parse(key, copy) : -ENOMEM;
	}
	free(copy);
	if (err) {
		if (key)
			key_free(key);
		return err;
	}
	key->next = *list;
	*list = key;
	return 0;
}

void lab_auth_free(struct lab_auth_key **list)
{
	while (*list) {
		struct lab_auth_key *next = (*list)->next;

		key_free(*list);
		*list = next;
	}
}

struct lab_auth_key *lab_auth_check(struct lab_auth_key *list, const char *text,
				    const char **error)
{
	while (list && strcmp(list->key, text))
		list = list->next;
	if (!list)
		*error = "invalid key: API key does not exist";
	else if (list->expired)
		*error = "invalid key: auth key expired";
	else if (list->once && list->used)
		*error = "invalid key: auth key already used";
	else
		return list;
	return NULL;
}
