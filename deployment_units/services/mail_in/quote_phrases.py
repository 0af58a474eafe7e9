"""How mail programs introduce what they quote, in the languages that they speak. Pure.

Patterns look at one line, or at few that were joined, of at most some hundred characters; none
can take more than linear time.
"""

from __future__ import annotations

import re

# "On 3 March 2026, at 14:05, Anna <anna@mail.example> wrote:", by its last words…
_WROTE = (
    "wrote", "writes", "said", "has written", "schrieb", "hat geschrieben", "a écrit", "écrit",
    "escribió", "ha escrito", "ha scritto", "scrive", "escreveu", "schreef",
    "het volgende geschreven", "napisał", "napisała", "napisał(a)", "napisali", "pisze", "skrev",
    "kirjoitti", "napsal", "napsala", "napsal(a)", "napísal", "napísala", "napísal(a)", "írta",
    "ezt írta", "пишет", "писал", "писала", "написал", "написала", "написал(а)", "написав",
    "написала", "пише", "yazdı", "şunları yazdı", "şunu yazdı", "a scris", "έγραψε", "đã viết",
    "menulis", "rašė", "rakstīja", "kirjutas", "je napisao", "je napisao/la", "је написао",
    "написа", "va escriure", "כתב", "כתבה", "כתב/ה", "מאת", "كتب",
)  # fmt: skip
_WROTE_UNSPACED = ("のメール", "が書きました", "のメッセージ", "写道", "寫道", "님이 작성", "작성")
WROTE = re.compile(
    rf"(?:(?<![^\W\d_])(?:{'|'.join(map(re.escape, _WROTE))})|{'|'.join(_WROTE_UNSPACED)})"
    r"(?:\s.{0,80})?\s{0,3}[:\uff1a]\s{0,3}$",
    re.I,
)
# … and by its first: a word that says when, a date, a day of the week.
FIRST_WORD = re.compile(
    r"^(?:on|am|le|el|il|il giorno|em|op|den|på|w dniu|dnia|dne|dňa|pe|στις|vào|pada)\b.{0,24}\d",
    re.I,
)
BEGINS = re.compile(
    r"^(?:on|am|le|el|il|em|op|den|på|w dniu|dnia|dne|dňa|v|pe|la|în|στις|vào|pada|"
    r"u|na|dana|de|ti|to|ma|lør|søn|\d{1,4}[./-]|\d{1,2}\s|\d{4}\s?年|[^\W\d]{2,12}[.,]{0,2}\s+\d)"
    r"(?=.{0,200}\d)",
    re.I,
)
INSTANT = re.compile(r"\d{1,2}[:.h時点]\d{2}|\b(?:19|20)\d\d\b|\d{1,2}[./-]\d{1,2}[./-]\d{2,4}")
ADDRESS = re.compile(r"[^\s<>@]{1,64}@[^\s<>@]{1,255}")

# A block of header fields, as Outlook quotes: the names of From, of Sent or Date, To and Subject.
_NAMES = {
    "from": "From|Von|De|Da|Van|Od|Från|Fra|Lähettäjä|От|Від|От кого|Kimden|Expéditeur|Remitente|"
            "Mittente|Feladó|Från|差出人|发件人|寄件者|보낸 사람|Από|Từ|De la|Gönderen",
    "sent": "Sent|Date|Gesendet|Datum|Envoyé|Enviado|Enviado el|Enviada em|Fecha|Data|Inviato|"
            "Data invio|Verzonden|Wysłano|Skickat|Sendt|Dato|Lähetetty|Päivämäärä|Дата|Отправлено|"
            "Надіслано|Gönderildi|Gönderme Tarihi|Tarih|送信日時|日付|发送时间|日期|寄件日期|"
            "보낸 날짜|날짜|Odesláno|Odoslané|Küldve|Dátum|Στάλθηκε|Trimis",
    "to": "To|An|À|A|Para|Aan|Do|Till|Til|Vastaanottaja|Кому|Kime|Alıcı|宛先|收件人|받는 사람|"
          "Komu|Címzett|Προς|Către|Pour|Destinatario|Destinataire",
    "cc": "Cc|CC|Kopie|Copie|Copia|Kopia|Копия|Bilgi|抄送|참조",
    "subject": "Subject|Betreff|Objet|Asunto|Oggetto|Assunto|Onderwerp|Temat|Ämne|Emne|Aihe|Тема|"
               "Konu|件名|主题|主旨|제목|Předmět|Predmet|Tárgy|Θέμα|Subiect",
}  # fmt: skip
FIELDS = {name: re.compile(rf"^(?:{names})\s*[:\uff1a]", re.I) for name, names in _NAMES.items()}

_RULE = r"^[-_=*\s]{0,40}"
ORIGINAL = re.compile(
    _RULE + r"(?:Original Message|Original-Nachricht|Ursprüngliche Nachricht|Message d['’]origine|"
    r"Message original|Mensaje original|Messaggio originale|Mensagem original|"
    r"Oorspronkelijk bericht|Wiadomość oryginalna|Oryginalna wiadomość|Ursprungligt meddelande|"
    r"Opprinnelig melding|Oprindelig meddelelse|Alkuperäinen viesti|Исходное сообщение|"
    r"Původní zpráva|Eredeti üzenet|Özgün ileti|元のメッセージ|原始邮件|原始郵件|원본 메시지)"
    r"[-_=*\s]{1,40}$",
    re.I,
)
FORWARDED = re.compile(
    _RULE + r"(?:Begin forwarded message|Forwarded message|Anfang der weitergeleiteten Nachricht|"
    r"Weitergeleitete Nachricht|Message transféré|Début du message (?:transféré|réexpédié)|"
    r"Mensaje reenviado|Inicio del mensaje reenviado|Messaggio inoltrato|"
    r"Inizio messaggio inoltrato|Mensagem encaminhada|Doorgestuurd bericht|"
    r"Begin doorgestuurd bericht|Wiadomość przekazana|Treść przekazanej wiadomości|"
    r"Vidarebefordrat (?:meddelande|mejl)|Videresendt (?:melding|meddelelse)|"
    r"Пересылаемое сообщение|Přeposlaná zpráva|転送メッセージ|转发的邮件|轉寄訊息|전달된 메시지)"
    r"(?:\s+from\s.{0,100})?\s*[:\uff1a]?[-_=*\s]{0,40}$",
    re.I,
)
FORWARDED_SUBJECT = re.compile(
    r"^\s*(?:fwd?|wg|tr|rv|enc|doorst|pd|vb|vs|i|转发|轉寄|전달)\s*[:\uff1a]", re.I
)

# What telephones and programs put below a text.
SENT_FROM = re.compile(
    r"^(?:(?:sent|written) (?:from|with|via|using)|get outlook for|sent by|gesendet (?:von|mit)|"
    r"von mein(?:em|er) .{0,40}gesendet|envoyé (?:de|depuis|à partir)|télécharger outlook|"
    r"enviado (?:desde|do|a partir|via|de)|obtener outlook|obter o outlook|inviato da|"
    r"scarica outlook|verstuurd vanaf|verzonden (?:vanaf|vanuit)|wysłane z|skickat från|"
    r"sendt fra|lähetetty|отправлено (?:с|из)|odesláno z|elküldve|iphone['’]?(?:umdan|dan)|"
    r"iphoneから送信|发自我的|發自我的|나의 .{0,20}에서 보냄)",
    re.I,
)
_FOOTER_SIGNS = re.compile(r"https?://|@|mailing list|unsubscribe|abmelden|désabonner", re.I)


def is_footer(lines: list[str]) -> bool:
    """Whether lines below a long rule are what a mailing list puts below every text."""
    return any(_FOOTER_SIGNS.search(line) for line in lines)
