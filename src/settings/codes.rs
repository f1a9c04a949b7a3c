//! The Codes tab: verification codes at resets and unlocks.

use super::{
    Fault,
    table::{choice, tab},
};

choice! {
    /// What a code is made of.
    pub enum Characters {
        /// Digits.
        Digits = "digits",
        /// Letters and digits without those that look alike.
        LettersAndDigits = "letters_and_digits",
    }
}

choice! {
    /// Which e-mail address a code goes to.
    pub enum Addresses {
        /// The directory's.
        Directory = "directory",
        /// The one given to Regain.
        Regain = "regain",
        /// The directory's; if it has none, the one given to Regain.
        DirectoryThenRegain = "directory_then_regain",
        /// The one given to Regain; without one, the directory's.
        RegainThenDirectory = "regain_then_directory",
        /// Both of them.
        Both = "both",
    }
}

choice! {
    /// What comes first.
    pub enum Order {
        /// The questions, then a code.
        QuestionsFirst = "questions_first",
        /// A code, then the questions.
        CodeFirst = "code_first",
    }
}

tab! {
    /// The Codes tab.
    pub struct Codes {
        /// Ask for a verification code at every reset and unlock, and send it by e-mail.
        by_mail: bool = false;
        /// Send it by text message; with both, the same code goes both ways.
        by_sms: bool = false;
        /// Characters of a code.
        length: usize = 6, in 4..=12;
        /// What it is made of: "digits", or "letters_and_digits" without those that look alike.
        characters: Characters = Characters::Digits;
        /// For so many minutes a code is good; 0 for as long as the reset or unlock may take, 30 minutes.
        minutes: u32 = 10, in 0..=60;
        /// Which e-mail address it goes to: "directory" for the one in Active Directory, "regain" for the one given
        /// at enrollment, "directory_then_regain" or "regain_then_directory" for the first there is, or "both".
        addresses: Addresses = Addresses::Directory;
        /// Show whoever has answered the questions where the code went, masked: m•••@c•••.example.
        masked_destination: bool = true;
        /// Let people go on without a code if they have no address to send it to; never those enrolled
        /// automatically. It has no effect where the code comes first: the page is the same for everybody there, and
        /// whoever can't be sent a code gets no further.
        without_destination: bool = false;
        /// Count wrong codes like wrong answers, towards the lockout of Regain. Five wrong ones in any case end it
        /// for an hour.
        count_wrong_codes: bool = true;
        /// A new code can be asked for after so many seconds.
        resend_after_seconds: u32 = 60, in 10..=600;
        /// So often.
        resends: u32 = 2, in 0..=10;
        /// Let people who never enrolled reset and unlock with a code alone. With the questions first, someone who
        /// knows that a name exists can then tell whether it is enrolled: it isn't asked a question.
        automatic_enrollment: bool = false;
        /// What comes first, "questions_first" or "code_first". Not set: by the profile of the Security tab.
        order: Option<Order> = None;
    }
}

impl Codes {
    /// Whether codes are asked for at all.
    pub const fn are_on(&self) -> bool {
        self.by_mail || self.by_sms
    }

    /// Whether a code alone is enough for those who never enrolled.
    pub const fn enroll_automatically(&self) -> bool {
        self.are_on() && self.automatic_enrollment
    }

    pub(super) fn check_channels(&self, faults: &mut Vec<Fault>) {
        if self.automatic_enrollment && !self.are_on() {
            let text = "needs codes: set by_mail or by_sms";
            faults.push(Fault::new("settings.codes.automatic_enrollment", text));
        }
    }
}
