"""How providers say that the account, its key, its credit or a model cannot be used.

Collected from the references and error lists of OpenAI, Azure, Google, Anthropic, OpenRouter,
Together, fal, Replicate, Stability, Black Forest Labs, Alibaba (DashScope), Volcengine, MiniMax,
Zhipu, Moonshot and of gateways such as one-api, new-api and LiteLLM, and from public reports.
"""

from batchgen.provider.endpoints.topics import Topic, Wordings

_MONEY = r"(?:credits?|balance|funds?|money)\b"
_OWN = (
    r"(?:(?:your|the|my|account|api|available|remaining|prepaid|prepayment|wallet|user|free|monthly|paid"
    r"|cash|usable|enough|sufficient|any|more|of|usd|or|trial|image|generation) )*"
)
_KEY = r"(?:api[ _-]?(?:secret )?keys?|access[ _-]keys?|secret[ _-]keys?)"
_TOKEN = r"(?:(?:access|auth\w*|api|bearer|jwt|session|your) tokens?)"  # noqa: S105  # no password
_BAD = (
    r"(?:invalid|incorrect|wrong|bad|malformed|unknown|expired|revoked|disabled|deactivated|missing"
    r"|not valid|unauthorized|no|empty)"
)
_IS = r"(?:is|are|was|were|has been|have been|has|have|'s)"

SPENT = Topic(
    codes=(
        *("insufficient*", "*credits*", "*outofcredit*", "*nocredit*", "*creditlimit*"),
        *(
            "*creditbalance*",
            "*overdue*",
            "*arrear*",
            "*insufficientbalance*",
            "*insufficientfunds*",
        ),
        *("*balanceinsufficient*", "*balancenotenough*", "*balancetoolow*", "*lowbalance*"),
        *("*nobalance*", "*billing*limit*", "billingnotactive*", "*billingdisabled*", "hardlimit*"),
        *("*paymentrequired*", "*unpaid*", "*spend*limit*", "*budgetexceeded*", "*freetieronly*"),
        *("exceededcurrentquota*", "*quotanotenough*", "baseresp1008", "*userquota*notenough*"),
        *("*creditexhausted*", "*notenoughcredit*", "*notenoughbalance*", "*outoffunds*"),
        *("*tokenquotafailed*", "*tokenstatusexhausted*", "*delinquent*", "*subscriptionexpired*"),
        *("*trialexpired*", "*trialended*", "*paymentmethodrequired*", "*nopaymentmethod*"),
    ),
    except_codes=(
        *("insufficient*permission*", "insufficient*scope*", "insufficient*privilege*"),
        *("insufficient*capacity*", "insufficient*access*", "insufficient*resource*"),
        *("insufficient*memory*", "insufficient*authori*", "insufficient*instance*"),
        *("insufficient*data*", "insufficient*input*", "insufficient*image*", "insufficient*role*"),
    ),
    words=Wordings(
        rf"insufficient {_OWN}{_MONEY}",
        r"\b(?:credit|balance|budget|wallet)(?: (?:limit|quota|cap))? (?:is |was |has been )?(?:reached|exceeded|empty|exhausted)",
        rf"\b(?:used|spent|consumed)(?: up)? all (?:of )?{_OWN}{_MONEY}|\ball {_OWN}{_MONEY} (?:are |have been |were )?(?:used|spent)",
        r"\bbilling (?:is |has been )?(?:not active|inactive|suspended|disabled)",
        r"(?<!model )\b(?:upgrade to|requires?|need|only on|purchase|buy) a (?:paid|premium|pro|paying|valid|higher) (?:plan|subscription|account|tier)"
        r"(?![^.]{0,40}\bmodel)",
        rf"(?:\bnot|n't have|without|lacks?) (?:have )?(?:enough|sufficient) {_OWN}{_MONEY}",
        rf"\b(?:out of|ran out of|run out of|used up|exhausted|depleted) {_OWN}{_MONEY}",
        rf"\bno (?:remaining|more|available|sufficient) {_OWN}{_MONEY}",
        rf"\b(?:have|has) no {_OWN}{_MONEY}|\bno {_OWN}{_MONEY} (?:left|remaining|available)",
        r"\b(?:credits?|balance|funds?|money|tokens?) (?:has|have|had)? ?run out\b",
        r"\b(?:exceeds?|exceeded|over|below) (?:your|the|its|account) (?:available |remaining |current "
        r"|account )*(?:credit )?balance\b",
        r"\binsufficient (?:\w+ (?:or|and) )?(?:\w+ )?(?:balance|credits?|funds?)\b",
        r"\btoken quota is not enough|\bquota or billing is exhausted|\baccount quota is exhausted",
        r"\b(?:need|requires?) (?:at least )?[0-9.]+ credits?\b[^.]{0,30}\b(?:have|has|only) [0-9.]+",
        r"\bbalance (?:is |of |: ?)*(?:\$ ?)?-?0(?:\.0+)?\b|\bquota (?:is |was |has been )?used up|\baccount (?:is )?in debt\b",
        r"\bdelinquent\b|\bdunning\b|\bpurchase (?:more|additional) (?:credits?|tokens?|images?)\b",
        r"\bpayment method\b[^.]{0,20}\b(?:declined|required|missing|expired|failed|invalid)",
        r"\b(?:add|update|set up|provide) (?:a |your )?(?:valid )?payment method",
        r"\bno (?:valid )?payment method\b",
        r"\badd (?:more |some )?(?:credits?|funds?) (?:to continue|to your (?:account|balance|wallet))",
        r"\b(?:trial|subscription|plan|membership|package)\b (?:has |have |is |was |period )*"
        r"(?:ended|expired|lapsed|cancel+ed|inactive|over)\b",
        r"\b(?:requires? billing|billing to be enabled|enable billing|billing (?:is )?(?:not enabled|disabled)"
        r"|billing account (?:is )?(?:not|closed|disabled)|only (?:accessible|available) to (?:billed|paid|paying))",
        r"\b(?:reached|exceeded|hit) (?:your|the) (?:specified )?(?:api )?usage limits?\b[^.]{0,20}\."
        r" you will regain access",
        rf"\b{_MONEY} {_IS} (?:now |currently |all )?(?:insufficient|exhausted|depleted|too low|used up"
        r"|gone|empty|negative|not (?:enough|sufficient)|below|expired)",
        rf"\b{_MONEY} (?:exhausted|depleted|insufficient|not enough|too low)",
        rf"requires (?:more|additional) {_MONEY}",
        r"\bbilling (?:hard |soft |spend )?limit",
        r"\bhard limit (?:has been |was |is )?reached",
        r"\b(?:spend|spending|budget|cost)[ -](?:limit|cap)\b[^.]{0,40}(?:reached|exceeded|hit|over)",
        r"\b(?:reached|exceeded|hit|over) (?:your|the|its) (?:\w+ )?(?:spend|spending|budget|credit|cost)\b",
        r"\bbudget (?:has been |is |was )?(?:exceeded|exhausted|reached)",
        r"\bpayment (?:is )?(?:required|overdue|failed|declined|past due)",
        r"\b(?:overdue|unpaid|past[- ]due|outstanding) (?:balance|payment|invoice|bill)",
        r"\b(?:account|payment|balance|bill|invoice)s?\b[^.]{0,30}\b(?:overdue|in arrears|past due|unpaid)",
        r"\baccount is in good standing",
        r"\barrear",
        r"\bplease (?:top[ -]?up|recharge|add (?:more |some )?(?:credits?|funds?|money|balance))",
        r"\bfree (?:trial|quota|credits?)\b[^.]{0,40}(?:exhausted|used up|expired|ended|over\b|depleted)",
        r"余额不足|余额已用完|欠费|额度不足|额度已用尽|额度失败|账户余额|请充值|剩余额度|资源包(?:已用尽|不足)",
    ),
    code_examples=("insufficient_quota", "billing_hard_limit_reached", "Arrearage"),
    word_examples=("insufficient balance", "out of credits", "payment required"),
)
BAD_KEY = Topic(
    codes=(
        *("*invalidapikey*", "*apikeyinvalid*", "*incorrectapikey*", "*apikeyexpired*"),
        *("*apikeymissing*", "*missingapikey*", "*apikeydisabled*", "*apikeyrevoked*"),
        *("*apikeynotfound*", "*apikeyblocked*", "*apikeyserviceblocked*", "*wrongapikey*"),
        *("*invalidaccesskey*", "*invalidauth*", "authenticationerror", "authenticationfailed*"),
        *("authenticationrequired", "unauthenticated", "unauthorized", "*invalidcredential*"),
        *("badcredentials", "*accesstokenexpired*", "*accesstokeninvalid*", "*invalidaccesstoken*"),
        *("*signaturedoesnotmatch*", "credentialsmissing", "baseresp1004", "baseresp2049"),
        *(
            "*unrecognizedclient*",
            "*invalidclienttokenid*",
            "*expiredtoken*",
            "*incompletesignature*",
        ),
        *("*missingauthenticationtoken*", "authfailure*", "authfailed", "*invalidsignature*"),
        *(
            "invalidtoken",
            "*tokenexpired*",
            "tokeninvalid*",
            "*invalidsubscriptionkey*",
            "*keyrevoked*",
        ),
    ),
    words=Wordings(
        rf"\b{_BAD} (?:\w+ ){{0,2}}?(?:{_KEY}|{_TOKEN}|credentials\b|authorization header)",
        rf"\b(?:{_KEY}|{_TOKEN}|credentials)\b[^.;,]{{0,40}}?\b(?:not valid|wrong|required|invalid|incorrect|expired|revoked"
        r"|disabled|deactivated|missing|not found|not recogni[sz]ed|does not exist|unauthorized|leaked"
        r"|not authorized|blocked|suspended)\b",
        rf"\b(?:carry|provide|include|pass|supply|specify|set) [^.]{{0,30}}(?:{_KEY}|authorization header)",
        r"\bauthentication (?:failed|required|error|is required|credentials were not provided)",
        r"\b(?:failed to|could not|cannot|can't|unable to) authenticate",
        r"\b(?:unauthenticated|not authenticated|login fail)",
        r"^(?:error: )?(?:invalid|expired|missing|unauthorized)(?: or \w+)? (?:access )?token\.?$",
        r"^(?:the |your |this )?(?:access |api |auth |user )?(?:token|key) (?:is |has )?(?:been )?(?:expired|invalid|revoked"
        r"|not valid)(?: or \w+)?\.?$",
        r"^(?:error: |401 )?unauthori[sz]ed(?:\.?$|:)|\bunregistered callers\b",
        r"\b(?:jwt|login|session) (?:is |has )?expired\b|\bauthorization (?:is |has |header )*(?:expired|invalid"
        r"|failed|missing|required)\b",
        r"\b(?:this|your|the|provided|supplied) key (?:is|was|has been|has) (?:\w+ly )?(?:revoked|disabled"
        r"|deactivated|expired|suspended|deleted|blocked|not authorized|leaked|associated with)\b",
        r"^key is not (?:authorized|valid|active)",
        r"\bsecurity token\b[^.]{0,40}\b(?:invalid|expired)|\b(?:invalid|wrong|missing) subscription key\b",
        r"无效的令牌|令牌(?:无效|已过期|不可用)|鉴权失败|认证失败|密钥(?:无效|错误)",
    ),
    code_examples=("invalid_api_key", "API_KEY_INVALID", "UNAUTHENTICATED"),
    word_examples=("incorrect API key", "authentication failed"),
)
_CLOSED = r"(?:blocked|suspended|banned|disabled|deactivated|terminated|restricted|locked|frozen|closed|flagged)"
_HOLDER = r"(?:account|organi[sz]ation|workspace|project|resource|subscription|user|tenant|team|api access)"
BLOCKED = Topic(
    codes=(
        *("account*suspended*", "account*deactivated*", "account*disabled*", "account*blocked*"),
        *("account*banned*", "account*locked*", "account*frozen*", "account*terminated*"),
        *("organi?ation*disabled*", "organi?ation*deactivated*", "organi?ation*suspended*"),
        *(
            "user*banned*",
            "user*suspended*",
            "user*blocked*",
            "user*disabled*",
            "consumersuspended",
        ),
        *("accessterminated*", "*accountinaccessible*", "project*suspended*"),
    ),
    words=Wordings(
        rf"\b{_HOLDER}(?: \S*[/_0-9-]\S*)? (?:is|was|are|were|has been|have been) (?:\w+ ){{0,5}}?{_CLOSED}\b(?! from)",
        rf"\baccount {_CLOSED}\b|\b(?:account|organi[sz]ation|user)\b[^.]{{0,60}}? and (?:has been|is|was) {_CLOSED}\b",
        rf"\b(?:your|api|account) access\b(?:(?! model)[^.]){{0,40}}? (?:is|was|has been) (?:\w+ly )?(?:{_CLOSED}|revoked)\b",
        r"\b(?:abuse|abusive|suspicious activity)\b[^.]{0,60}\b(?:account|access|organi[sz]ation)\b",
        r"\baccess to (?:this|your|the) (?:resource|api|service|account)\b[^.]{0,20} (?:has been|is|was)"
        r" (?:blocked|suspended|disabled) (?:due|because|for)",
        r"\byou (?:have been|are|were) (?:\w+ly )?(?:banned|suspended)\b",
        rf"\b(?:suspended|banned|disabled|deactivated|blocked) (?:your|this) {_HOLDER}\b",
        r"(?:账户|账号|用户|组织)(?:已)?(?:被)?(?:封禁|冻结|停用|禁用|封停)",
    ),
    code_examples=("account_suspended", "user_banned"),
    word_examples=("your account has been suspended", "this organization is disabled"),
)
MODEL = Topic(
    codes=(
        *("modelnotfound*", "*modelnotopen*", "modelnotavailable*", "modelnotsupported*"),
        *("modelnotallowed*", "*modeldeprecated*", "*modeldecommissioned*", "*modelretired*"),
        *("model*accessdenied*", "*deploymentnotfound*", "*invalidendpointormodel*"),
        *(
            "unsupportedcountry*",
            "unsupportedregion*",
            "*unsupportedlocation*",
            "unsupportedmodel*",
        ),
        *("invalidmodel*", "*mustbeverified*", "servicedisabled", "accessdeniedunpurchased"),
        *("modelterms*", "modelunavailable*", "unknownmodel*", "modeldisabled*", "*nosuchmodel*"),
        *("modelnotexist*", "modeldoesnotexist*", "modelaccess*", "modelpermission*"),
        *("organizationnotverified*", "*verificationrequired*"),
    ),
    words=Wordings(
        r"\bmodel\b[^.;]{0,80}?\b(?:does not exist|doesn't exist|not found|not exist|unknown"
        r"|no longer (?:available|supported)"
        r"|(?:is|has been|was) (?:deprecated|retired|decommissioned|removed|discontinued|shut ?down|sunset)"
        r"|(?:is )?not (?:available|allowed|enabled|permitted|accessible|activated|open)\b)",
        r"\bmodel\b[^.;]{0,60}?\bis not supported(?: (?:by|on|in|for) (?:this|your|the) "
        r"(?:account|organi[sz]ation|project|plan|region|country|api|endpoint|provider))?\s*(?:$|\.)",
        r"\b(?:unknown|invalid|unsupported|no such|unrecogni[sz]ed) model\b(?! (?:param|option|setting|version|format|input"
        r"|output|config|value|type|field))",
        r"^\S+ is no longer (?:available|supported|offered|served)\b",
        r"(?:\bnot|n't|\bno|\bwithout|\black|\blacks|\brequires?|\bneeds?) (?:\w+ ){0,3}?(?:permission|access|authori[sz]ation)s?"
        r"\b[^.;]{0,30}?\bmodel\b",
        r"^model (?:\S+ )?(?:deprecated|retired|removed|disabled)\b|\bmodels? (?:is |are )?not available (?:to|for|on)\b",
        r"\b(?:requires?|complete|needs?) (?:\w+ )?organi[sz]ation verification|\b(?:closed|private) beta\b|\bwait ?list\b|\ballow ?list\b",
        r"\bmodel\b[^.;]{0,30}\brequires? (?:a |an )?(?:\w+ )?(?:paid|premium|pro|enterprise|higher|paying|subscription|plan|tier)",
        r"\baccess is restricted\b|\bnot available (?:for|to|on|with|under) (?:your|this) (?:account|plan|project|organi[sz]ation|tier)",
        r"(?:\bnot|n't|\bno) have (?:\w+ ){0,2}?access to (?:\w+ ){0,2}?(?:model|deployment|endpoint|it\b)",
        r"(?:\bnot|n't) (?:include|have|grant|provide) access to\b|\bno access to (?:\w+ ){0,2}?model",
        r"\bmodel access (?:is |was )?(?:denied|restricted|not granted|required)|\bmodel (?:is |was )?(?:disabled|retired|removed)\b",
        r"\b(?:access|permission) (?:to|for) (?:\w+ ){0,2}?model\b[^.]{0,30}\b(?:denied|restricted|not granted)",
        r"\b(?:project|organi[sz]ation|account|team|workspace|plan|tier|subscription)\b (?:is |are |does )?not "
        r"(?:allowed|permitted|authori[sz]ed|entitled|eligible|allow|permit|enabled)\b[^.]{0,20}\b(?:use|access|using|call|for)\b",
        r"\bnot (?:allowed|permitted|authori[sz]ed|entitled|eligible) to (?:use|access|call|run) (?:the |this )?model\b",
        r"\b(?:model|api)\b[^.]{0,40}\bonly (?:available|accessible|offered|open) (?:to|for|on|in|with) (?:\w+ ){0,2}"
        r"(?:organi[sz]ations?|users?|customers?|accounts?|plans?|tiers?|regions?|countr(?:y|ies)|subscribers?|members?|testers?)\b",
        r"\b(?:agree to|accept) the (?:\w+ )?(?:terms|licen[cs]e|conditions|agreement)",
        r"\bis not a (?:valid|known|supported) model\b|\bmodels?\b[^.;]{0,60}?\b(?:shut ?down|unavailable in|end of life)",
        r"\bdoes(?: not|n't) have access to\b",
        r"\borgani[sz]ation must be verified|\bmust be verified to use|\bverify (?:your )?organi[sz]ation",
        r"\b(?:country|region|territory|location)\b[^.]{0,40}?\b(?:not supported|not available|unsupported"
        r"|not allowed|blocked|restricted)",
        r"(?:\bnot|n't) (?:available|supported|offered|permitted) in your (?:country|region|location|area)",
        r"\bdeployment\b[^.]{0,60}?\bdoes not exist",
        r"\bnot allowed to (?:use|access|sample from|generate (?:with|from)) (?:this |the )?model",
        r"\bno (?:endpoints?|providers?|allowed providers) (?:found|available|are available)[^.]{0,20} for",
        r"\b(?:api|service)\b[^.]{0,60}?\bhas not been used in project\b",
        r"模型不存在|模型[^。]{0,20}(?:未开通|已下线|不可用|无权限)|无权(?:限)?(?:访问|使用)(?:该)?模型|不支持(?:该)?模型",
    ),
    code_examples=("model_not_found", "unsupported_country_region_territory"),
    word_examples=("the model does not exist", "must be verified to use"),
)
