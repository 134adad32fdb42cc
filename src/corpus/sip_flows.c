/* sip_flows.c: the flows of sip_model.h.  Section numbers refer to RFC 3261 unless another RFC is named. */
#include "corpus/sip_model.h"

/* Sends of one request on UDP before its timer gives up: timer B (17.1.1.2) and timer F (17.1.2.2). */
enum { INVITE_SENDS = 7, REQUEST_SENDS = 11 };

typedef struct {
    const sg_sip_model *model;
    const sg_sip_rates *rates;
    sg_random *random;
    double variety;
    uint16_t *tokens;
    int length;
    bool failed;      /* too long, or a type outside the alphabet */
    bool in_call_100; /* whether this server answers re-INVITEs with 100 first */
} flow;

static bool has(const flow *f, sg_sip_type type)
{
    return f->model->id[type] != 0;
}

static void say(flow *f, sg_sip_type type)
{
    if (!has(f, type) || f->length >= f->model->max_length)
        f->failed = true;
    if (!f->failed)
        f->tokens[f->length++] = f->model->id[type];
}

/* True with probability p; variety makes the less likely outcome likelier. */
static bool chance(flow *f, double p)
{
    double rare = (p < 0.5 ? p : 1 - p) * f->variety;
    if (rare > 0.5 && p > 0 && p < 1)
        rare = 0.5;
    return sg_random_double(f->random) < (p < 0.5 ? rare : 1 - rare);
}

/* How many times in a row something is repeated, at most `most`. */
static int repeats(flow *f, double p, int most)
{
    int n = 0;
    while (n < most && chance(f, p))
        n++;
    return n;
}

/* 1 or more, of this mean. */
static int some(flow *f, double mean)
{
    return 1 + repeats(f, mean > 1 ? 1 - 1 / mean : 0, f->model->max_length);
}

/* Extra sends of a message whose answer is slow or lost. */
static int resends(flow *f, int sends)
{
    if (!chance(f, f->rates->retransmission))
        return 0;
    return 1 + repeats(f, f->rates->retransmission_again, sends - 2);
}

/* ---- transactions ---- */

/* A non-INVITE request and its final response (17.1.2, 17.2.2).  A copy that crossed the response is answered
 * by the same response again. */
static void transact(flow *f, sg_sip_type method, sg_sip_type code)
{
    int copies = resends(f, REQUEST_SENDS);
    say(f, method);
    for (int i = 0; i < copies; i++)
        say(f, method);
    say(f, code);
    for (int i = 0; i < copies; i++)
        if (!chance(f, f->rates->lost_answer))
            say(f, code);
}

/* A request that nobody answers: timer F. */
static void unanswered(flow *f, sg_sip_type method, int sends)
{
    int n = chance(f, 0.5) ? sends : 1 + (int)sg_random_below(f->random, (uint32_t)sends);
    for (int i = 0; i < n; i++)
        say(f, method);
}

/* INVITE up to its 100, which stops timer A (17.1.1.2); each copy that crossed is answered by another 100. */
static void invite(flow *f, bool trying)
{
    int copies = resends(f, INVITE_SENDS);
    for (int i = 0; i <= copies; i++)
        say(f, SG_SIP_INVITE);
    if (!has(f, SG_SIP_100) || !trying)
        return;
    say(f, SG_SIP_100);
    for (int i = 0; i < copies; i++)
        if (!chance(f, f->rates->lost_answer))
            say(f, SG_SIP_100);
}

/* A final response to INVITE and its ACK.  Until the ACK arrives the response is resent (timer G, or the 2xx
 * of 13.3.1.4), and each copy is acknowledged: at once, or when all of them are in. */
static void conclude(flow *f, sg_sip_type code)
{
    int copies = resends(f, REQUEST_SENDS);
    bool together = chance(f, f->rates->lost_answer);
    for (int i = 0; i <= copies; i++) {
        say(f, code);
        if (!together)
            say(f, SG_SIP_ACK);
    }
    for (int i = 0; together && i <= copies; i++)
        if (i == 0 || chance(f, 0.5))
            say(f, SG_SIP_ACK);
}

/* ---- authentication (22) ---- */

static sg_sip_type challenge_code(flow *f, double proxy)
{
    if (!has(f, SG_SIP_407))
        return SG_SIP_401;
    return has(f, SG_SIP_401) && !chance(f, proxy) ? SG_SIP_401 : SG_SIP_407;
}

static bool can_challenge(const flow *f)
{
    return has(f, SG_SIP_401) || has(f, SG_SIP_407);
}

/* A non-INVITE request that may be challenged, then repeated with credentials; a stale nonce costs another
 * round. */
static void authorised(flow *f, sg_sip_type method, sg_sip_type code, double challenged, double proxy)
{
    if (can_challenge(f) && chance(f, challenged)) {
        sg_sip_type ask = challenge_code(f, proxy);
        transact(f, method, ask);
        for (int i = repeats(f, f->rates->stale_nonce, 3); i > 0; i--)
            transact(f, method, ask);
    }
    transact(f, method, code);
}

/* ---- choosing among codes ---- */

typedef struct {
    sg_sip_type code;
    double weight;
} choice;

/* One of the codes that the alphabet has; SG_SIP_TYPES if it has none. */
static sg_sip_type choose(flow *f, const choice *choices, int count)
{
    double sum = 0, at;
    sg_sip_type last = SG_SIP_TYPES;
    for (int i = 0; i < count; i++)
        sum += has(f, choices[i].code) ? choices[i].weight : 0;
    at = sum * sg_random_double(f->random);
    for (int i = 0; i < count; i++) {
        if (!has(f, choices[i].code) || choices[i].weight <= 0)
            continue;
        last = choices[i].code;
        at -= choices[i].weight;
        if (at < 0)
            break;
    }
    return last;
}

#define CHOOSE(f, ...) \
    choose((f), (const choice[]){__VA_ARGS__}, (int)(sizeof((const choice[]){__VA_ARGS__}) / sizeof(choice)))

/* ---- requests inside a call (12.2) ---- */

static void reinvite(flow *f, sg_sip_type code)
{
    invite(f, f->in_call_100);
    conclude(f, code);
}

/* A session refresh, hold or retrieval (14).  Both sides at once: 491, then again (14.1). */
static void modify_session(flow *f)
{
    if (has(f, SG_SIP_491) && chance(f, f->rates->glare))
        reinvite(f, SG_SIP_491);
    if (has(f, SG_SIP_407) && chance(f, f->rates->stale_nonce))
        reinvite(f, SG_SIP_407);
    if (has(f, SG_SIP_488) && chance(f, f->rates->glare))
        reinvite(f, SG_SIP_488);
    else
        reinvite(f, SG_SIP_200);
}

/* A transfer (RFC 3515): REFER, then its implicit subscription. */
static void transfer(flow *f)
{
    transact(f, SG_SIP_REFER, SG_SIP_202);
    for (int i = some(f, 2); i > 0; i--)
        transact(f, SG_SIP_NOTIFY, SG_SIP_200);
}

static void subscribe_in_call(flow *f)
{
    transact(f, SG_SIP_SUBSCRIBE, SG_SIP_200);
    transact(f, SG_SIP_NOTIFY, SG_SIP_200);
}

static void any_request(flow *f)
{
    switch (CHOOSE(f, {SG_SIP_INVITE, 4}, {SG_SIP_OPTIONS, 2}, {SG_SIP_NOTIFY, 1.5}, {SG_SIP_SUBSCRIBE, 0.6},
                   {SG_SIP_INFO, 2}, {SG_SIP_UPDATE, 2}, {SG_SIP_MESSAGE, 0.5}, {SG_SIP_REFER, 1})) {
    case SG_SIP_OPTIONS:
        transact(f, SG_SIP_OPTIONS, SG_SIP_200);
        break;
    case SG_SIP_NOTIFY:
        transact(f, SG_SIP_NOTIFY, SG_SIP_200);
        break;
    case SG_SIP_SUBSCRIBE:
        subscribe_in_call(f);
        break;
    case SG_SIP_INFO:
        transact(f, SG_SIP_INFO, SG_SIP_200);
        break;
    case SG_SIP_UPDATE:
        transact(f, SG_SIP_UPDATE, SG_SIP_200);
        break;
    case SG_SIP_MESSAGE:
        transact(f, SG_SIP_MESSAGE, SG_SIP_200);
        break;
    case SG_SIP_REFER:
        transfer(f);
        break;
    default:
        modify_session(f);
    }
}

/* What happens between ACK and BYE. Most calls are quiet; each of the others has a habit. */
static void talk(flow *f)
{
    double mean = f->rates->in_call_events * (chance(f, f->rates->long_calls) ? 4 : 1);
    f->in_call_100 = chance(f, 0.5);
    if (chance(f, f->rates->refresh)) {
        for (int i = some(f, mean); i > 0; i--)
            modify_session(f);
    } else if (chance(f, f->rates->hold)) {
        modify_session(f); /* hold */
        modify_session(f); /* retrieve */
    } else if (chance(f, f->rates->in_call_keep_alive)) {
        for (int i = some(f, mean); i > 0; i--)
            transact(f, SG_SIP_OPTIONS, SG_SIP_200);
    } else if (chance(f, f->rates->mixed_requests)) {
        for (int i = some(f, mean); i > 0; i--)
            any_request(f);
    }
}

/* 15: one side hangs up, or both at once; a call may also be still open when the capture ends. */
static void hang_up(flow *f)
{
    if (!has(f, SG_SIP_BYE) || chance(f, f->rates->open_end))
        return;
    if (chance(f, f->rates->glare)) {
        say(f, SG_SIP_BYE);
        say(f, SG_SIP_BYE);
        say(f, SG_SIP_200);
        say(f, has(f, SG_SIP_481) && chance(f, 0.5) ? SG_SIP_481 : SG_SIP_200);
    } else if (chance(f, f->rates->no_answer)) {
        unanswered(f, SG_SIP_BYE, REQUEST_SENDS);
    } else {
        authorised(f, SG_SIP_BYE, SG_SIP_200, f->rates->bye_challenge, 0.95);
    }
}

static void answer(flow *f)
{
    conclude(f, SG_SIP_200);
    talk(f);
    hang_up(f);
}

/* ---- setting up a call (13) ---- */

/* An attempt that is answered with `code` and followed by another INVITE: challenge, redirection (8.1.3.4),
 * session timer (RFC 4028), extension (21.4.15). */
static void attempt(flow *f, sg_sip_type code, bool trying)
{
    invite(f, trying);
    conclude(f, code);
}

/* Everything before the INVITE that gets through.  False: the caller gives up. */
static bool first_attempts(flow *f)
{
    const sg_sip_rates *r = f->rates;
    if (can_challenge(f) && chance(f, r->challenge)) {
        sg_sip_type code = challenge_code(f, r->proxy_challenge);
        bool trying = chance(f, 0.08); /* challenges usually come before any 100 */
        attempt(f, code, trying);
        for (int i = repeats(f, r->stale_nonce, 3); i > 0; i--)
            attempt(f, code, trying);
        if (chance(f, r->wrong_password)) {
            attempt(f, code, trying);
            return false;
        }
    }
    if (has(f, SG_SIP_302) && chance(f, r->redirect))
        attempt(f, SG_SIP_302, chance(f, r->trying));
    if (chance(f, r->renegotiate)) {
        sg_sip_type code = CHOOSE(f, {SG_SIP_422, 2}, {SG_SIP_420, 1}, {SG_SIP_488, 2}, {SG_SIP_500, 1});
        if (code != SG_SIP_TYPES)
            attempt(f, code, chance(f, r->trying));
    }
    return true;
}

static void provisional(flow *f, sg_sip_type code)
{
    say(f, code);
    if (code == SG_SIP_183 && has(f, SG_SIP_PRACK) && chance(f, f->rates->early_media)) {
        transact(f, SG_SIP_PRACK, SG_SIP_200); /* RFC 3262 */
        if (has(f, SG_SIP_UPDATE) && chance(f, 0.4))
            transact(f, SG_SIP_UPDATE, SG_SIP_200);
    }
    for (int i = repeats(f, f->rates->repeat_ringing, 8); i > 0; i--)
        say(f, code); /* once a minute, 13.3.1.1 */
}

/* Ringing: of one phone, or of the branches of a fork (16.7), each on its own early dialog. */
static void ring(flow *f)
{
    const sg_sip_rates *r = f->rates;
    int branches = chance(f, r->fork) ? 1 + some(f, r->fork_branches) : 1;
    if ((has(f, SG_SIP_182) || has(f, SG_SIP_181)) && chance(f, r->queued))
        provisional(f, CHOOSE(f, {SG_SIP_182, 1}, {SG_SIP_181, 1}));
    for (int b = 0; b < branches; b++) {
        bool ringing = has(f, SG_SIP_180) && !chance(f, r->no_ringing);
        bool media = has(f, SG_SIP_183) && chance(f, r->early_media);
        bool media_first = media && chance(f, 0.4);
        if (media_first)
            provisional(f, SG_SIP_183);
        if (ringing)
            provisional(f, SG_SIP_180);
        if (media && !media_first)
            provisional(f, SG_SIP_183);
    }
}

/* 9: the caller gives up.  The 200 answers CANCEL, the 487 the INVITE.  The callee may have answered at the
 * same moment. */
static void cancel(flow *f)
{
    bool crossed = !has(f, SG_SIP_487) || chance(f, f->rates->glare);
    if (!crossed && chance(f, 0.06)) { /* the two answers come in the other order */
        say(f, SG_SIP_CANCEL);
        say(f, SG_SIP_487);
        say(f, SG_SIP_200);
        say(f, SG_SIP_ACK);
        return;
    }
    transact(f, SG_SIP_CANCEL, SG_SIP_200);
    if (!crossed) {
        conclude(f, SG_SIP_487);
        return;
    }
    conclude(f, SG_SIP_200);
    hang_up(f);
}

/* A refusal that fits the moment, or SG_SIP_TYPES for none. */
static sg_sip_type refusal(flow *f, bool rang)
{
    const sg_sip_rates *r = f->rates;
    if (!rang && chance(f, r->not_found))
        return CHOOSE(f, {SG_SIP_404, 6}, {SG_SIP_403, 1});
    if (chance(f, r->busy))
        return CHOOSE(f, {SG_SIP_486, 10}, {SG_SIP_600, 0.5});
    if (chance(f, r->unavailable))
        return CHOOSE(f, {SG_SIP_480, 5}, {SG_SIP_408, 2});
    if (chance(f, r->refused))
        return CHOOSE(f, {SG_SIP_603, 4}, {SG_SIP_488, 1}, {SG_SIP_500, 1}, {SG_SIP_503, 1}, {SG_SIP_403, 1},
                      {SG_SIP_480, 1});
    return SG_SIP_TYPES;
}

/* A call: caller and server, or server and callee, one leg. */
static void call(flow *f)
{
    const sg_sip_rates *r = f->rates;
    if (!has(f, SG_SIP_ACK) || chance(f, r->no_answer)) {
        unanswered(f, SG_SIP_INVITE, INVITE_SENDS);
        return;
    }
    if (!first_attempts(f))
        return;
    invite(f, chance(f, r->trying));
    sg_sip_type code = refusal(f, false);
    if (code == SG_SIP_TYPES) {
        int before = f->length;
        ring(f);
        bool rang = f->length > before;
        if (has(f, SG_SIP_CANCEL) && chance(f, r->cancel)) {
            cancel(f);
            return;
        }
        if (rang && has(f, SG_SIP_487) && chance(f, r->early_bye)) {
            transact(f, SG_SIP_BYE, SG_SIP_200); /* ends an early dialog, 15 */
            conclude(f, SG_SIP_487);
            return;
        }
        code = rang ? refusal(f, true) : SG_SIP_TYPES;
    }
    if (code != SG_SIP_TYPES)
        conclude(f, code);
    else
        answer(f);
}

/* ---- everything else ---- */

/* 10: REGISTER, refreshed under the same Call-ID before it expires. */
static void registration(flow *f)
{
    const sg_sip_rates *r = f->rates;
    bool each = chance(f, 0.6); /* a registrar with one-time nonces challenges every refresh */
    if (can_challenge(f) && chance(f, r->wrong_password)) {
        sg_sip_type code = challenge_code(f, 0.03);
        for (int i = 1 + some(f, 2); i > 0; i--)
            transact(f, SG_SIP_REGISTER, code);
        return;
    }
    if (chance(f, r->no_answer)) {
        unanswered(f, SG_SIP_REGISTER, REQUEST_SENDS);
        return;
    }
    if (has(f, SG_SIP_404) && chance(f, r->not_found)) {
        authorised(f, SG_SIP_REGISTER, SG_SIP_404, r->register_challenge, 0.03);
        return;
    }
    if (has(f, SG_SIP_423) && chance(f, r->renegotiate))
        transact(f, SG_SIP_REGISTER, SG_SIP_423);
    authorised(f, SG_SIP_REGISTER, SG_SIP_200, r->register_challenge, 0.03);
    int n = chance(f, r->register_refresh) ? some(f, r->register_refreshes) : 0;
    n += chance(f, r->unregister);
    for (; n > 0; n--)
        authorised(f, SG_SIP_REGISTER, SG_SIP_200, each ? r->register_challenge : r->stale_nonce, 0.03);
}

/* 11, used to keep a NAT binding open or to monitor a peer. */
static void keep_alive(flow *f)
{
    const sg_sip_rates *r = f->rates;
    if (chance(f, r->no_answer)) {
        unanswered(f, SG_SIP_OPTIONS, REQUEST_SENDS);
        return;
    }
    sg_sip_type code = CHOOSE(f, {SG_SIP_200, 1}, {SG_SIP_404, r->not_found}, {SG_SIP_480, r->unavailable});
    int n = chance(f, r->keep_alive_chain) ? some(f, r->keep_alives) : 1;
    for (; n > 0; n--)
        authorised(f, SG_SIP_OPTIONS, code, r->bye_challenge, 0.8);
}

static void notify(flow *f)
{
    transact(f, SG_SIP_NOTIFY, has(f, SG_SIP_481) && chance(f, f->rates->glare) ? SG_SIP_481 : SG_SIP_200);
}

/* RFC 6665: SUBSCRIBE, the NOTIFY that always follows, more of them as the state changes, refreshes. */
static void subscription(flow *f)
{
    const sg_sip_rates *r = f->rates;
    if (has(f, SG_SIP_404) && chance(f, r->not_found)) {
        authorised(f, SG_SIP_SUBSCRIBE, SG_SIP_404, r->challenge, 0.5);
        return;
    }
    sg_sip_type code = CHOOSE(f, {SG_SIP_200, 8}, {SG_SIP_202, 1});
    int rounds = 1 + (chance(f, r->subscribe_refresh) ? some(f, r->notifications) : 0);
    double mean = r->notifications;
    for (int i = 0; i < rounds; i++) {
        if (chance(f, 0.03)) { /* the NOTIFY overtakes the response (4.4.1) */
            say(f, SG_SIP_SUBSCRIBE);
            say(f, SG_SIP_NOTIFY);
            say(f, code);
            say(f, SG_SIP_200);
        } else {
            authorised(f, SG_SIP_SUBSCRIBE, code, i ? r->stale_nonce : r->challenge, 0.5);
            notify(f);
        }
        for (int n = some(f, mean) - 1; n > 0; n--)
            notify(f);
    }
}

/* MESSAGE (RFC 3428), PUBLISH (RFC 3903) or a NOTIFY without subscription (message waiting). */
static void single_requests(flow *f, sg_sip_type method)
{
    sg_sip_type code = SG_SIP_200;
    if (method == SG_SIP_MESSAGE)
        code = CHOOSE(f, {SG_SIP_200, 6}, {SG_SIP_202, 3}, {SG_SIP_404, 1}, {SG_SIP_480, 0.5});
    int n = chance(f, f->rates->keep_alive_chain) ? some(f, f->rates->keep_alives) : 1;
    for (; n > 0; n--)
        authorised(f, method, code, method == SG_SIP_NOTIFY ? 0 : f->rates->bye_challenge, 0.8);
}

int sg_sip_model_dialog(const sg_sip_model *model, sg_random *random, double variety, uint16_t *tokens)
{
    const sg_sip_rates *r = &model->rates;
    flow f = {.model = model, .rates = r, .random = random, .variety = variety, .tokens = tokens};
    sg_sip_type kind = CHOOSE(&f, {SG_SIP_INVITE, r->call}, {SG_SIP_REGISTER, r->registration},
                              {SG_SIP_OPTIONS, r->keep_alive}, {SG_SIP_SUBSCRIBE, r->subscription},
                              {SG_SIP_NOTIFY, r->notification}, {SG_SIP_MESSAGE, r->message},
                              {SG_SIP_PUBLISH, r->publication});
    switch (kind) {
    case SG_SIP_INVITE:
        call(&f);
        break;
    case SG_SIP_REGISTER:
        registration(&f);
        break;
    case SG_SIP_OPTIONS:
        keep_alive(&f);
        break;
    case SG_SIP_SUBSCRIBE:
        subscription(&f);
        break;
    case SG_SIP_TYPES:
        f.failed = true; /* no kind has a weight */
        break;
    default:
        single_requests(&f, kind);
    }
    return f.failed ? 0 : f.length;
}
