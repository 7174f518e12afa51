"""How content filters refuse, by provider.

Names of request parameters (`enable_safety_checker`, `safety_tolerance`, `moderation`) are no
wordings of a refusal: validators quote them in plain errors. Sources as of `account_topics`.
"""

from batchgen.provider.endpoints.topics import Topic, Wordings

_THING = r"(?:prompts?|inputs?|images?|contents?|requests?|outputs?|texts?|generations?|results?|videos?|media)"
_IS = r"(?:is|are|was|were|has been|have been|been|got|gets?)"
_STOPPED = (
    r"(?:blocked|filtered|moderated|rejected|censored|refused|flagged|denied|stopped|prohibited)"
)
_RULES = (
    r"(?:polic(?:y|ies)|guidelines?|terms of (?:service|use)|(?:our|your|the provider's|community|content|usage|use"
    r"|service|safety|responsible ai|platform) (?:\w+ ){0,2}?(?:standards?|practices?|terms|rules))"
)
_BREAKS = r"(?:violat\w*|breach\w*|against|not comply\w*|conflicts? with|infring\w*|not allowed by|contrary to)"
# A length, a format or a parameter is named: the request has a plain mistake.
_NO_MISTAKE = (
    r"(?![^.]{0,80}?\b(?:length|long|characters?|tokens?|words|size|format|empty|schema|parameters?|fields?"
    r"|options?|must be|expected|required|missing|invalid|type)\b)"
)

REFUSAL = Topic(
    codes=(
        *("*contentpolicy*", "*contentfilter*", "*moderationblocked*", "*contentmoderat*"),
        *("*moderationrejected*", "*moderated", "*contentviolation*", "*policyviolation*"),
        *("*responsibleai*", "*raifiltered*", "*unsafe*", "safety", "safetyinput*"),
        *("safetyoutput*", "imagesafety", "imageprohibitedcontent", "*prohibitedcontent*"),
        *(
            "blocklist",
            "spii",
            "recitation",
            "imagerecitation",
            "*sensitivecontent*",
            "*sensitivew*",
        ),
        *(
            "*inappropriatecontent*",
            "*inappropriate*",
            "*datainspection*",
            "*nsfw*",
            "*riskcontrol*",
        ),
        *("*sensitiveinformation*", "moderationreasons", "promptblocked*", "*promptrejected*"),
        *("*contentrejected*", "*contentblocked*", "*safetyviolation*", "*harmfulcontent*"),
        *(
            "baseresp1026",
            "baseresp1027",
            "*contentnotallowed*",
            "*safetyfilter*",
            "*safetysystem*",
        ),
        *("*contentchecker*", "*contentrestrict*", "*disallowedcontent*", "*flaggedcontent*"),
        *("*copyright*", "*forbiddencontent*", "*contentsecurity*", "*contentreview*"),
        *("*contentfiltered*", "*providercontent*", "illegalprompt", "illegalimage*", "*safety*"),
        *(
            "*moderation*",
            "*textrisk*",
            "*imagerisk*",
            "*contentrisk*",
            "*risknotpass*",
            "*censored*",
        ),
        *("*trademark*", "publicerror*unsafe*", "publicerror*filter*", "*violatespolicy*"),
    ),
    except_codes=(
        *("*safetyidentifier*", "*safetychecker*", "*safetytolerance*", "*safetysetting*"),
        *("*moderationservice*", "*moderation*timeout*", "*moderation*unavailable*"),
        *("*invalidmoderation*", "*invalidsafety*", "*moderation*ratelimit*", "*moderation*level*"),
    ),
    words=Wordings(
        r"\bcontent[ _-](?:management |usage |safety )?polic(?:y|ies)\b|\bcontent_policy",
        r"\bcontent[ -]filter(?:s|ing|ed)?\b|(?<!field )(?<!parameter )\bcontent_filter(?:ed)?\b(?!:)",
        rf"\b(?:prompts?|contents?)(?: (?:is|are|was|were|has been|have been))? {_STOPPED}\b{_NO_MISTAKE}",
        r"\b(?:inappropriate|unsafe|illegal|nsfw) (?:prompts?|requests?|inputs?|images?)\b",
        r"\b(?:deemed|considered|found|contains?|potentially|detected) (?:to be |as )?unsafe\b|\bunsafe (?:content|prompt)?"
        r" ?detected\b|\bnsfw prompt|^(?:content )?(?:censored|moderated|nsfw)\b",
        r"\b(?:fail\w*|not pass\w*|did not pass|not passed|rejected by|blocked by|stopped by|triggered) [^.;]{0,30}?"
        r"\b(?:safety|moderation|content review|risk control|nsfw)\b",
        r"\b(?:safety|moderation|content review|risk(?: control)?|nsfw) (?:checks? |filters? |review )?(?:failed|fails|not"
        r" pass\w*|did not pass|rejected|blocked)\b",
        r"\bpolicy violations?\b|\bviolations? of [^.;]{0,40}?\bpolic(?:y|ies)\b|\b(?:under|per|by|against) our (?:\w+ )?"
        r"(?:polic(?:y|ies)|guidelines?)\b",
        r"\brisk(?:y)? content|\bcopyright(?:ed)? (?:\w+ )?(?:characters?|materials?|contents?|works?)\b"
        r"|\b(?:characters?|brands?) protected by\b",
        r"\bcontent (?:moderation|checker|inspection|security|audit|violation|restrictions?)\b",
        r"\bsafety (?:system|filters?|guidelines|polic(?:y|ies)|reasons|violation|settings block)\b",
        r"\bmoderation system\b|\brequires moderation\b|\bmoderation_blocked\b|\bmoderation (?:check )?failed\b",
        rf"\b{_STOPPED} (?:\w+ ){{0,3}}?moderation\b|\bmoderation (?:\w+ ){{0,3}}?{_STOPPED}\b",
        r"\b(?:request|content|input|prompt|output|image) moderated\b",
        r"\bflagged (?:by|as|for|because|due)\b|\b(?:was|were|been|is|got) flagged\b",
        r"\bresponsible ai\b|\bcommunity (?:guidelines|standards)\b",
        rf"\b{_BREAKS} [^.;]{{0,60}}?\b{_RULES}\b",
        rf"\b{_BREAKS} [^.;]{{0,40}}?\b(?:copyright|trademark|intellectual property)",
        r"\b(?:sensitive|inappropriate|prohibited|unsafe|harmful|disallowed|offensive|objectionable|banned"
        r"|forbidden|restricted|explicit|illegal|sexual|violent|hateful|nsfw) "
        r"(?:or \w+ )?(?:contents?|words?|information|materials?|topics?|prompts?|images?|terms?|imagery"
        r"|phrases?|concepts?)\b",
        r"\bnsfw (?:content|detected)|\bpotential(?:ly)? nsfw|\bdetected (?:as )?nsfw|\bnsfw_content",
        rf"\b{_THING} (?:\w+ ){{0,3}}?{_IS} (?:\w+ly )?{_STOPPED}\b[^.;]{{0,80}}?\b(?:safety|polic|moderat|filter"
        r"|guideline|unsafe|harm|violat|contents?\b)",
        rf"\b{_THING} {_IS} filtered(?: out)?\b|\bfiltered (?:out )?(?:due|because)\b",
        r"\bunable to (?:generate|show|process|create)[^.;]{0,80}?\b(?:safety|polic|guideline|filtered)",
        r"sensitivecontent|inappropriatecontent|prohibited_content|content_violation|datainspection",
        r"敏感(?:词|内容|信息)|违规|违禁|不合规|内容安全|内容审核|(?:未通过|不通过)[^。]{0,6}(?:审核|审查|风控)|审核(?:未|不)通过|色情|涉黄|涉政|违反[^。]{0,10}(?:政策|规范|规定|准则|法规)|不安全|ポリシー違反|不適切|부적절",
    ),
    code_examples=("content_policy_violation", "ResponsibleAIPolicyViolation", "SAFETY"),
    word_examples=("flagged by", "safety system", "violates our policies"),
)

# One of these is enough where the message speaks of no parameter.
REFUSAL_HINT = Topic(
    words=Wordings(
        r"\bmoderat(?:ion|ed)\b|\bnsfw\b|\bguardrails?\b|\bnot safe for work\b|\bcensor|\bunsafe\b",
        r"\bsafety (?:classifier|checks?|filters?|system|guidelines?|settings?|reasons?|concerns?|rules?)\b",
        r"\binappropriate\b|\boffensive\b|\bnudity\b|\bnude\b|\bsexual(?:ly)?\b|\bporn|\bviolen(?:ce|t)\b|\bgore\b",
        r"\bhate(?:ful)? speech\b|\bself-harm\b|\bpublic figures?\b|\bcelebrit|\breal (?:person|people)\b|\blikeness\b",
        r"\bcopyright|\btrademark|\bresponsible ai\b|\bharmful\b|\bcontent ?polic|\bcontent not allowed\b|\bgraphic content\b",
        r"\b(?:usage|safety|content|community|acceptable use) (?:polic(?:y|ies)|guidelines?)\b|\brisk control\b",
        r"\b(?:forbidden|banned|blocked|prohibited|sensitive|bad) (?:key)?words?\b|\bcontent (?:detection|classifier|guard)",
    ),
    word_examples=("moderation", "NSFW", "unsafe"),
)
PARAMETER = Topic(
    words=Wordings(
        r"\bmust (?:not )?be (?:one of|between|an?\b|at (?:least|most)|less|greater|set|equal|below|above|in|of|true|false|low|auto|[0-9])",
        r"\bexpected\b|\bone of\b|\bbetween [0-9]|\bat (?:least|most) [0-9]|\bmaximum\b|\bminimum\b|\bout of range\b",
        r"\b(?:unknown|unexpected|unrecogni[sz]ed|unsupported|invalid|missing|undefined|additional|extra) "
        r"(?:\w+ )?(?:fields?|parameters?|values?|options?|arguments?|keys?|propert(?:y|ies)|types?|format|json|level|settings?)\b",
        r"\b(?:parameter|field|option|argument|property|value|setting|header)\b[^.]{0,30} (?:is|are|was) (?:\w+ )?"
        r"(?:required|missing|invalid|unknown|unsupported|deprecated|ignored|not)",
        r"\bis required\b|\bis missing\b|\bnot a valid\b|\b(?:boolean|integer)\b|\bschema\b|\bjson\b",
        r"\btoo (?:long|short|large|small|many|few|big)\b|\binvalid (?:moderation|safety)\b",
    ),
    word_examples=("must be one of", "unknown parameter"),
)
