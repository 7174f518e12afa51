"""How providers say that requests come too fast, that they are busy, or that a service failed."""

from batchgen.provider.endpoints.topics import Topic, Wordings

PACE = Topic(
    codes=(
        *("*ratelimit*", "*toomanyrequests*", "*throttl*", "resourceexhausted", "nocapacity"),
        *("*capacityexceeded*", "*concurren*", "*requestlimitexceeded*", "requestburst*"),
        *("limitrequests", "limitburst*", "*ratequota*", "*perminute*", "enginebusy*"),
        *("*overloaded*", "baseresp1002", "slowdown", "tpmlimit*", "rpmlimit*", "*rateexceeded*"),
    ),
    words=Wordings(
        r"\brate[ _-]?limit",
        r"\bper[ _-]?(?:minute|second|hour|day|min|sec)(?:\b|_)|perminute|requests?_per_|\bper model\b",
        r"\btoo many (?:\w+ )?(?:requests|images|calls)",
        r"\btry again\b|\bretry (?:after|in|later|your request)|\bplease wait\b|\bslow down\b",
        r"\bhigh demand\b|\b(?:has been |is )?exhausted\b|\bcapacity\b|\bthrottl|\bconcurren|\bbusy\b",
        r"\boverload|\brequests? (?:limit|quota)|\bquota exceeded for\b|\b(?:qps|rpm|tpm|rpd|ipm|rps)\b",
        r"频率|限流|并发|请求过多|请求数|稍后",
    ),
    code_examples=("rate_limit_exceeded", "RESOURCE_EXHAUSTED", "Throttling"),
    word_examples=("per minute", "try again", "capacity"),
)
RATE_LIMIT = Topic(
    words=Wordings(
        r"\brate[ _-]?limit", r"\btoo many (?:\w+ )?requests\b", r"\bthrottl|限流|请求过多"
    ),
    word_examples=("rate limit", "too many requests"),
)
FAST = Topic(
    words=Wordings(
        r"\brate[ _-]?limit|\brequest rate\b|\btoo many (?:\w+ )?(?:requests|images|calls|generations)\b|\bthrottl",
        r"\b(?:requests?|images?|generations?|tokens|calls) ?(?:per|/) ?(?:min|sec|hour|day|second|minute)",
        r"\b(?:\w+-)?per-(?:min|day|hour|second)|perminute|_per_|\bconcurren|\bslow down\b|限流|请求过多|频率|并发",
    ),
    word_examples=("too many requests", "images per minute"),
)
TROUBLE = Topic(
    words=Wordings(
        r"\bunavailable\b|\btimed? ?-?out\b|\bcrash|\btry again\b|\bretry\b|\boverload|\binternal\b|\bbusy\b",
        r"\b(?:server|service|filter|system|checker|api|client|connection|database) (?:had an )?errors?\b",
        r"\b(?:could not|cannot|can't|unable to|failed to) (?:reach|load|connect|contact|call|query|check|verify|fetch|run)\b",
    ),
    word_examples=("unavailable", "timed out", "internal error"),
)
# Rate limits are called quotas, and their messages link to billing pages; so are spent accounts.
DOUBT = Topic(
    codes=("*quota*", "*billing*", "*credit*", "*usagelimit*", "*dailylimit*", "*planlimit*"),
    words=Wordings(
        r"\bquota|\bcredits?\b|\bbilling\b|\bbalance\b|\bplan\b|\bsubscription\b|\bupgrade\b",
        r"\bfree[- ]tier\b|\b(?:usage|daily|monthly|spend|spending|plan|resource)[ -]limits?\b|配额|额度",
    ),
    code_examples=("quota_exceeded",),
    word_examples=("quota", "billing", "credits"),
)
PLAN = Topic(
    words=Wordings(
        r"\b(?:resource|plan|daily|monthly|spending|spend|usage|free[- ]tier)[ -]limits?\b",
        r"\bexceeded your current quota\b|\bquota (?:has been |is |was )?(?:exhausted|used up|exceeded)",
    ),
    word_examples=("plan limit", "exceeded your current quota"),
)
OUTAGE = Topic(
    codes=(
        *("servererror", "internalerror", "internalservererror", "internal", "internalfailure"),
        *("*timeout*", "*overloaded*", "unavailable", "*serviceunavailable*", "deadlineexceeded"),
        *("badgateway", "temporarilyunavailable*", "baseresp1000", "baseresp1001", "baseresp1013"),
        *("baseresp1033", "engineoverloaded*", "upstreamerror*", "modeloverloaded*", "aborted"),
    ),
    words=Wordings(
        r"\boverloaded\b|\btemporarily unavailable\b|\bservice unavailable\b|\bbad gateway\b",
        r"\b(?:internal|server) (?:server )?error\b|\btimed? ?out\b|\bhad an error while processing",
        r"\bplease (?:try again|retry)(?: your request)?(?: later| in| after|\.|$)|系统繁忙|服务繁忙",
    ),
    code_examples=("server_error", "UNAVAILABLE", "timeout"),
    word_examples=("overloaded", "temporarily unavailable"),
)
MAINTENANCE = Topic(words=Wordings(r"\bunder maintenance\b"), word_examples=("under maintenance",))
SIGNATURE_EXPIRED = Topic(
    words=Wordings(
        r"\b(?:request|url|link|token|signature|policy|presigned \w+) (?:has |is |was )?expired\b",
        r"\bexpired ?token\b|\bexpired (?:url|link|signature|request)\b",
    ),
    word_examples=("Request has expired", "ExpiredToken"),
)
KEY_NAMED = Topic(
    words=Wordings(r"\bapi[ _-]?key\b|\baccess token\b|\byour key\b|\bbearer token\b"),
    word_examples=("API key", "access token"),
)
