/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_oauth_key.c - answers of token endpoints, metadata services and AWS
 *
 * The first byte chooses the kind of login and the place, the rest are answers:
 * a line each, "STATUS BODY", where STATUS is one character ('2' 200, '4' 403,
 * '5' 500, '0' none, 'G' 200 from Google's metadata service).
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/control/oauth_key.h"

enum { CALLS_MAX = 20 };

static int read_file(const char *path, char **out)
{
	(void)path;
	*out = strdup("TOKEN");
	return *out ? 0 : -12;
}

static char github_url[] = "ACTIONS_ID_TOKEN_REQUEST_URL=https://gh.example/";
static char github_token[] = "ACTIONS_ID_TOKEN_REQUEST_TOKEN=T";
static char ecs[] = "ECS_CONTAINER_METADATA_URI_V4=http://169.254.170.2/";
static char file[] = "AWS_WEB_IDENTITY_TOKEN_FILE=/x";
static char role[] = "AWS_ROLE_ARN=r";
static char region[] = "AWS_REGION=us-east-1";
static char *places[4][6] = {
	{NULL},
	{github_url, github_token, NULL},
	{ecs, NULL},
	{ecs, file, role, region, NULL},
};

static int status_of(char c)
{
	switch (c) {
	case '2':
	case 'G':
		return 200;
	case '4':
		return 403;
	case '5':
		return 500;
	default:
		return 0;
	}
}

static void answer(struct ts_oauth_key *k, char *line)
{
	struct ts_web_reply reply = {
		.status = status_of(line[0]),
		.body = line[0] ? line + 1 : line,
		.field = line[0] == 'G' ? "Google" : "",
		.error = "refused",
	};

	reply.len = strlen(reply.body);
	ts_oauth_key_reply(k, &reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static char secret[] = "tskey-client-x", base[] = "https://a.example",
		    id[] = "id", token[] = "jwt", audience[] = "a",
		    tag[] = "tag:a";
	static char *tags[] = {tag};
	struct ts_auth_choice choice = {.base_url = base, .tags = tags,
					.tag_count = 1};
	struct ts_identity_place place = {.read_file = read_file};
	char *text = len ? strndup((const char *)data + 1, len - 1) : NULL;
	struct ts_oauth_key *k;
	struct ts_web_call call;
	char *save = NULL, *line;

	if (!text)
		return 0;
	choice.kind = data[0] & 1 ? TS_AUTH_CLIENT : TS_AUTH_FEDERATION;
	choice.secret = secret;
	choice.client_id = id;
	if (data[0] & 2)
		choice.id_token = token;
	else
		choice.audience = audience;
	place.env = places[data[0] >> 2 & 3];
	k = ts_oauth_key_new(&choice, &place);
	line = strtok_r(text, "\n", &save);
	for (int i = 0; k && i < CALLS_MAX; i++) {
		if (!ts_oauth_key_next(k, 1440938160, &call))
			break;
		ts_web_call_deinit(&call);
		if (!line)
			break;
		answer(k, line);
		line = strtok_r(NULL, "\n", &save);
	}
	ts_oauth_key_free(k);
	free(text);
	return 0;
}
